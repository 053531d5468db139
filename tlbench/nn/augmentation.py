"""Random views of network inputs, batched on the device, with parameters of their own for each row.

Draws come from torch's global generator, which the engine seeds. Images are moved by an affine map and filled from their
border; vectors get noise and lose features. No flips: they change what a digit or a sign is.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor


def weak(x: Tensor) -> Tensor:
    """A view hardly changed: images (B, C, H, W) shifted by up to 8 %, vectors (B, D) with noise of 0.1 deviations."""
    if x.ndim == 4:
        return _moved(x, shift=0.08)
    return _noisy(x, 0.1)


def strong(x: Tensor) -> Tensor:
    """A view much changed: images also turned by up to 30 degrees, scaled by up to 25 %, with a square of a third covered;
    vectors with noise of 0.3 deviations and a fifth of the features set to the batch mean."""
    if x.ndim == 4:
        return _covered(_moved(x, shift=0.15, degrees=30.0, scale=0.25), share=1 / 3)
    lost = torch.rand_like(x) < 0.2
    return torch.where(lost, x.mean(dim=0, keepdim=True), _noisy(x, 0.3))


def _noisy(x: Tensor, deviations: float) -> Tensor:
    spread = x.std(dim=0, keepdim=True) if len(x) > 1 else torch.zeros_like(x)
    return x + deviations * spread * torch.randn_like(x)


def _uniform(x: Tensor, bound: float) -> Tensor:
    return (2 * torch.rand(len(x), device=x.device) - 1) * bound


def _moved(x: Tensor, shift: float, degrees: float = 0.0, scale: float = 0.0) -> Tensor:
    angle = _uniform(x, math.radians(degrees))
    size = 1 + _uniform(x, scale)
    cos, sin = angle.cos() * size, angle.sin() * size
    # a shift of the whole image is 2 in the grid's units
    theta = torch.stack([cos, -sin, _uniform(x, 2 * shift), sin, cos, _uniform(x, 2 * shift)], dim=1).view(-1, 2, 3)
    grid = F.affine_grid(theta, list(x.shape), align_corners=False)
    return F.grid_sample(x, grid, mode="bilinear", padding_mode="border", align_corners=False)


def _covered(x: Tensor, share: float) -> Tensor:
    height, width = x.shape[2:]
    top = torch.rand(len(x), 1, device=x.device) * (1 - share) * height
    left = torch.rand(len(x), 1, device=x.device) * (1 - share) * width
    rows, columns = torch.arange(height, device=x.device), torch.arange(width, device=x.device)
    in_rows = (rows >= top) & (rows < top + share * height)
    in_columns = (columns >= left) & (columns < left + share * width)
    hidden = (in_rows[:, :, None] & in_columns[:, None, :])[:, None]
    return torch.where(hidden, x.mean(dim=(1, 2, 3), keepdim=True), x)
