"""Images (B, C, H, W) cropped, mirrored, resized and mapped, each by parameters of its own, with one gather or one grid."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor


def padded_crop(x: Tensor, top: Tensor, left: Tensor, padding: int, fill: str) -> Tensor:
    """Crops of the size of the images, from images that are padded on all sides; any dtype.

    Args:
        x: images (B, C, H, W).
        top: the first line of each crop within its padded image (B,), from 0 to twice the padding.
        left: its first column (B,).
        padding: pixels added on each side.
        fill: what they hold: "black" (0), "edge" (the nearest pixel) or "reflect" (the mirror image, without the edge twice).
    """
    height, width = x.shape[2:]
    lines = torch.arange(height, device=x.device) + top[:, None].long() - padding
    columns = torch.arange(width, device=x.device) + left[:, None].long() - padding
    y_BH, x_BW = (_within(index, size, fill) for index, size in ((lines, height), (columns, width)))
    flat = (y_BH[:, :, None] * width + x_BW[:, None, :]).flatten(1)
    crops = x.flatten(2).gather(2, flat[:, None].expand(-1, x.shape[1], -1)).view(x.shape)
    if fill != "black":
        return crops
    is_inside = ((lines >= 0) & (lines < height))[:, :, None] & ((columns >= 0) & (columns < width))[:, None, :]
    return crops * is_inside[:, None]


def _within(index: Tensor, size: int, fill: str) -> Tensor:
    """Indices of pixels beyond the edges -> the indices of the pixels that stand for them."""
    if fill != "reflect":
        return index.clamp(0, size - 1)
    index = index.abs()
    return torch.where(index > size - 1, 2 * (size - 1) - index, index)


def mirrored(x: Tensor, is_mirrored: Tensor, dim: int) -> Tensor:
    """Images (B, C, H, W) of which some (B,) are mirrored along an axis: -1 is left to right, -2 top to bottom."""
    return torch.where(is_mirrored[:, None, None, None], x.flip(dim), x)


def resized_crop(x: Tensor, box: Tensor) -> Tensor:
    """Rectangles of images, resized to the size of the images by bilinear interpolation.

    No pixel outside a rectangle enters it. A rectangle is never larger than its image, so that no antialiasing is needed.

    Args:
        x: float images (B, C, H, W).
        box: top, left, height and width of the rectangle of each image (B, 4), in pixels.
    """
    height, width = x.shape[2:]
    grid = [_source_positions(box[:, first], box[:, first + 2], size) for first, size in ((1, width), (0, height))]
    grid_BHW2 = torch.stack([grid[0][:, None, :].expand(-1, height, -1), grid[1][:, :, None].expand(-1, -1, width)], dim=-1)
    return F.grid_sample(x, grid_BHW2, mode="bilinear", padding_mode="border", align_corners=False)


def _source_positions(first: Tensor, length: Tensor, size: int) -> Tensor:
    """For each output pixel of an axis the position (B, size) that it is read from, in [-1, 1] over the whole axis."""
    pixel = (torch.arange(size, device=first.device) + 0.5) * (length[:, None] / size) - 0.5
    inside = torch.minimum(pixel.clamp_min(0), length[:, None] - 1)
    return (inside + first[:, None] + 0.5) * (2 / size) - 1


def affine(x: Tensor, matrix: Tensor) -> Tensor:
    """Images (B, C, H, W) whose pixels are read from where a matrix maps them, by the nearest pixel; outside is 0.

    Args:
        x: float images (B, C, H, W).
        matrix: (B, 2, 3), from an output pixel to the pixel that it is read from; (0, 0) is the centre of the image.
    """
    height, width = x.shape[2:]
    columns = torch.linspace((1 - width) / 2, (width - 1) / 2, width, device=x.device)
    lines = torch.linspace((1 - height) / 2, (height - 1) / 2, height, device=x.device)
    x_HW, y_HW = columns.expand(height, width), lines[:, None].expand(height, width)
    base = torch.stack([x_HW, y_HW, torch.ones_like(x_HW)], dim=-1).view(1, -1, 3).expand(len(x), -1, -1)
    theta = torch.stack([matrix[:, 0] / (0.5 * width), matrix[:, 1] / (0.5 * height)], dim=2)
    grid = base.bmm(theta).view(-1, height, width, 2)
    return F.grid_sample(x, grid, mode="nearest", padding_mode="zeros", align_corners=False)


def shear_x(x: Tensor, amount: Tensor) -> Tensor:
    """Float images (B, C, H, W) sheared sideways about their top left corner by these tangents (B,)."""
    height = x.shape[2]
    return affine(x, _matrix(amount, horizontal=amount, offset_x=amount * (height / 2)))


def shear_y(x: Tensor, amount: Tensor) -> Tensor:
    """Float images (B, C, H, W) sheared up and down about their top left corner by these tangents (B,)."""
    width = x.shape[3]
    return affine(x, _matrix(amount, vertical=amount, offset_y=amount * (width / 2)))


def translate_x(x: Tensor, amount: Tensor) -> Tensor:
    """Float images (B, C, H, W) moved to the right by these numbers of pixels (B,), cut to whole ones."""
    return affine(x, _matrix(amount, offset_x=-amount.trunc()))


def translate_y(x: Tensor, amount: Tensor) -> Tensor:
    """Float images (B, C, H, W) moved down by these numbers of pixels (B,), cut to whole ones."""
    return affine(x, _matrix(amount, offset_y=-amount.trunc()))


def rotate(x: Tensor, amount: Tensor) -> Tensor:
    """Float images (B, C, H, W) rotated counter-clockwise about their centres by these degrees (B,)."""
    angle = amount * (math.pi / 180)
    cos, sin, zero = angle.cos(), angle.sin(), torch.zeros_like(angle)
    return affine(x, torch.stack([cos, -sin, zero, sin, cos, zero], dim=1).view(-1, 2, 3))


def _matrix(
    like: Tensor,
    horizontal: Tensor | float = 0.0,
    vertical: Tensor | float = 0.0,
    offset_x: Tensor | float = 0.0,
    offset_y: Tensor | float = 0.0,
) -> Tensor:
    """Matrices (B, 2, 3) of a shear and a translation.

    Args:
        like: a tensor (B,) of the wanted device and dtype.
        horizontal: how far a pixel is moved sideways for each line.
        vertical: how far it is moved down for each column.
        offset_x: how far all pixels are moved sideways.
        offset_y: how far all pixels are moved down.
    """
    one, zero = torch.ones_like(like), torch.zeros_like(like)
    entries = [one, zero + horizontal, zero + offset_x, zero + vertical, one, zero + offset_y]
    return torch.stack(entries, dim=1).view(-1, 2, 3)
