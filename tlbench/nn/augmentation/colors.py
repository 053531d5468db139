"""The colours of float images (B, C, H, W) in [0, 1], changed by an amount (B,) for each image."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

LUMA = (0.2989, 0.587, 0.114)
"""The weights of red, green and blue in the luminance of ITU-R BT.601."""


def brightness(x: Tensor, amount: Tensor) -> Tensor:
    """Images times a factor."""
    return (x * _per_image(amount)).clamp_(0, 1)


def saturation(x: Tensor, amount: Tensor) -> Tensor:
    """Images blended with their grey versions: 0 is grey, 1 unchanged; grey images stay as they are."""
    return x if x.shape[1] == 1 else _blend(x, grey(x), amount)


def contrast(x: Tensor, amount: Tensor) -> Tensor:
    """Images blended with the mean of their grey versions: 0 is that grey, 1 unchanged."""
    return _blend(x, grey(x).mean(dim=(1, 2, 3), keepdim=True), amount)


def sharpness(x: Tensor, amount: Tensor) -> Tensor:
    """Images blended with their smoothed versions, 0 is smooth, 1 unchanged, 2 sharpened; the outermost pixels stay."""
    if min(x.shape[2:]) <= 2:
        return x
    kernel = torch.full((3, 3), 1 / 13, device=x.device)
    kernel[1, 1] = 5 / 13
    inner = x[:, :, 1:-1, 1:-1]
    smooth = F.conv2d(x, kernel.expand(x.shape[1], 1, 3, 3), groups=x.shape[1])
    sharpened = x.clone()
    sharpened[:, :, 1:-1, 1:-1] = inner + (smooth - inner) * (1 - _per_image(amount))
    return sharpened.clamp_(0, 1)


def hue(x: Tensor, amount: Tensor) -> Tensor:
    """Images whose hue is turned by a share of the colour circle in [-0.5, 0.5]; grey images stay as they are.

    Each channel of a colour of hue h, saturation s and value v is v - v s max(0, min(k, 4 - k, 1)) with k = (n + 6 h) mod 6 and
    n = 5, 3 and 1 for red, green and blue.
    """
    if x.shape[1] == 1:
        return x
    red, green, blue = x.unbind(1)
    lowest, value = torch.aminmax(x, dim=1)
    chroma = value - lowest
    divisor = torch.where(chroma > 0, chroma, 1.0)
    sextant = torch.where(
        value == red,
        (green - blue) / divisor,
        torch.where(value == green, 2 + (blue - red) / divisor, 4 + (red - green) / divisor),
    )
    offset = torch.stack([torch.full_like(amount, n) for n in (5.0, 3.0, 1.0)], dim=1)[:, :, None, None]
    k = (offset + sextant[:, None] + 6 * _per_image(amount)).remainder(6)
    weight = torch.minimum(k, 4 - k).clamp_(0, 1)
    return (value[:, None] - chroma[:, None] * weight).clamp_(0, 1)


def posterize(x: Tensor, amount: Tensor) -> Tensor:
    """Images with so many bits for each channel."""
    levels = _per_image(amount.exp2())
    return torch.minimum((x * levels).floor(), levels - 1) / levels


def solarize(x: Tensor, amount: Tensor) -> Tensor:
    """Images whose values from a threshold on are inverted."""
    return torch.where(x >= _per_image(amount), 1 - x, x)


def autocontrast(x: Tensor, amount: Tensor) -> Tensor:
    """Images each of whose channels is stretched to [0, 1]; the amount changes nothing."""
    lowest, highest = x.amin(dim=(2, 3), keepdim=True), x.amax(dim=(2, 3), keepdim=True)
    is_flat = lowest == highest
    return torch.where(is_flat, x, (x - lowest) / torch.where(is_flat, 1.0, highest - lowest)).clamp_(0, 1)


def equalize(x: Tensor, amount: Tensor) -> Tensor:
    """Images each of whose channels has an even histogram of 256 values, as Pillow computes it; the amount changes nothing."""
    values = (x * (256 - 1e-3)).long().clamp_(0, 255).flatten(2)  # torchvision's conversion of floats to bytes
    histogram = torch.zeros((*values.shape[:2], 256), dtype=torch.int64, device=x.device)
    histogram.scatter_add_(2, values, torch.ones_like(values))
    below = histogram.cumsum(dim=2)
    highest = values.amax(dim=2, keepdim=True)
    step = (values.shape[2] - histogram.gather(2, highest)) // 255
    lookup = F.pad((below[:, :, :-1] + step // 2) // step.clamp_min(1), (1, 0)).clamp_(0, 255)
    equalized = torch.where(step > 0, lookup.gather(2, values), values)
    return (equalized.view(x.shape) / 255).to(x.dtype)


def grey(x: Tensor) -> Tensor:
    """The luminance (B, 1, H, W) of images of three channels; images of one channel are returned unchanged."""
    if x.shape[1] == 1:
        return x
    red, green, blue = x.split(1, dim=1)
    return red * LUMA[0] + green * LUMA[1] + blue * LUMA[2]


def _per_image(amount: Tensor) -> Tensor:
    return amount[:, None, None, None]


def _blend(x: Tensor, other: Tensor, amount: Tensor) -> Tensor:
    share = _per_image(amount)
    return (x * share + other * (1 - share)).clamp_(0, 1)
