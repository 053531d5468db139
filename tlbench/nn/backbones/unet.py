"""A small U-Net for images with a label for each pixel: convolutions down to a coarse map and up again, with skip connections.

Ronneberger, Fischer and Brox, U-Net: convolutional networks for biomedical image segmentation, MICCAI 2015.
https://arxiv.org/abs/1505.04597. With batch normalisation and padding, so that features have the size of the image.
"""

from __future__ import annotations

import torch
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor, nn

from tlbench.errors import TlbenchError
from tlbench.nn.net import Backbone
from tlbench.nn.whole_network import WholeNetwork


class Options(BaseModel):
    """Options of the backbone `unet`."""

    model_config = ConfigDict(extra="forbid")

    channels: int = Field(16, ge=2, description="of the finest map, and D; each coarser map has twice as many")
    depth: int = Field(3, ge=1, le=6, description="how often the map is halved")


def build(shape: tuple[int, ...], options: Options) -> Backbone:
    """Build the backbone: images (B, channels, height, width) -> features (B, height * width, D).

    Raises:
        TlbenchError: samples are no images, or a side can't be halved `depth` times.
    """
    if len(shape) != 3 or any(side % 2**options.depth for side in shape[1:]):
        raise TlbenchError(
            f"The backbone unet takes images whose sides are multiples of {2**options.depth}, not samples of shape {shape}. "
            "Set another size, or a smaller depth."
        )
    network = UNet(shape[0], options.channels, options.depth)
    backbone = WholeNetwork(network, options.channels, [*network.down, *network.up])
    backbone.positions = shape[1] * shape[2]
    return backbone


class UNet(nn.Module):
    """Images (B, C, H, W) -> features (B, H * W, D).

    Args:
        channels: C.
        width: D.
        depth: how often the map is halved.
    """

    def __init__(self, channels: int, width: int, depth: int) -> None:
        super().__init__()
        widths = [width * 2**level for level in range(depth + 1)]
        self.down = nn.ModuleList(_block(before, after) for before, after in zip([channels, *widths], widths, strict=False))
        self.up = nn.ModuleList(_block(3 * after, after) for after in reversed(widths[:-1]))

    def forward(self, x: Tensor) -> Tensor:
        """Each map on the way up is joined with that of its size on the way down."""
        maps: list[Tensor] = []
        for level, block in enumerate(self.down):
            x = block(nn.functional.max_pool2d(x, 2) if level else x)
            maps.append(x)
        for block, skipped in zip(self.up, reversed(maps[:-1]), strict=True):
            x = block(torch.cat([nn.functional.interpolate(x, scale_factor=2.0), skipped], dim=1))
        return x.flatten(2).transpose(1, 2)


def _block(before: int, after: int) -> nn.Sequential:
    """Two 3x3 convolutions with batch normalisation and ReLU."""
    return nn.Sequential(
        *(nn.Conv2d(before, after, 3, padding=1, bias=False), nn.BatchNorm2d(after), nn.ReLU()),
        *(nn.Conv2d(after, after, 3, padding=1, bias=False), nn.BatchNorm2d(after), nn.ReLU()),
    )
