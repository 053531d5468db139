"""Weak and strong random views of a batch, made on its device, with random parameters of their own for each sample.

Random numbers come from torch's global generator, which the engine seeds. Images go through an affine map with border padding;
vectors get noise and lose features. Images are never flipped: a flip changes the class of a digit or a sign. The methods
`fixmatch` and `mean_teacher` use these views.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor


def weak(x: Tensor) -> Tensor:
    """A weak view: images (B, C, H, W) shifted by up to 8 %, vectors (B, D) with noise of 0.1 standard deviations."""
    if x.ndim == 4:
        return _affine(x, shift=0.08)
    return with_noise(x, 0.1)


def strong(x: Tensor) -> Tensor:
    """A strong view: images (B, C, H, W) or vectors (B, D), much changed.

    Images are shifted by up to 15 %, rotated by up to 30 degrees and scaled by up to 25 %, and a window of a third of each side
    is set to the image's mean. Vectors get noise of 0.3 standard deviations, and a fifth of their features are set to the
    batch's mean.
    """
    if x.ndim == 4:
        return _with_window_erased(_affine(x, shift=0.15, degrees=30.0, scale=0.25), share=1 / 3)
    dropped = torch.rand_like(x) < 0.2
    return torch.where(dropped, x.mean(dim=0, keepdim=True), with_noise(x, 0.3))


def with_noise(x: Tensor, deviations: float) -> Tensor:
    """Add Gaussian noise of so many standard deviations of each feature over the batch; a single sample stays as it is."""
    deviation_D = x.std(dim=0, keepdim=True) if len(x) > 1 else torch.zeros_like(x)
    return x + deviations * deviation_D * torch.randn_like(x)


def _uniform(x: Tensor, bound: float) -> Tensor:
    """One number in [-bound, bound] for each sample: (B,)."""
    return (2 * torch.rand(len(x), device=x.device) - 1) * bound


def _affine(x: Tensor, shift: float, degrees: float = 0.0, scale: float = 0.0) -> Tensor:
    """Shift, rotate and scale images (B, C, H, W) by up to so much: shares of the width, degrees, shares of the size."""
    angle = _uniform(x, math.radians(degrees))
    size = 1 + _uniform(x, scale)
    cos, sin = angle.cos() * size, angle.sin() * size
    # the grid runs from -1 to 1, so that a shift by the whole width is 2
    theta = torch.stack([cos, -sin, _uniform(x, 2 * shift), sin, cos, _uniform(x, 2 * shift)], dim=1).view(-1, 2, 3)
    grid = F.affine_grid(theta, list(x.shape), align_corners=False)
    return F.grid_sample(x, grid, mode="bilinear", padding_mode="border", align_corners=False)


def _with_window_erased(x: Tensor, share: float) -> Tensor:
    """Set a window of images (B, C, H, W), `share` of each side long and at a random position, to the mean of the image."""
    height, width = x.shape[2:]
    top = torch.rand(len(x), 1, device=x.device) * (1 - share) * height
    left = torch.rand(len(x), 1, device=x.device) * (1 - share) * width
    vertical, horizontal = torch.arange(height, device=x.device), torch.arange(width, device=x.device)
    in_height = (vertical >= top) & (vertical < top + share * height)
    in_width = (horizontal >= left) & (horizontal < left + share * width)
    window = (in_height[:, :, None] & in_width[:, None, :])[:, None]
    return torch.where(window, x.mean(dim=(1, 2, 3), keepdim=True), x)
