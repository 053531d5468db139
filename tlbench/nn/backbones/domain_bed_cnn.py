"""DomainBed's network for MNIST: four 3x3 convolutions with group normalisation, and the mean over all positions.

Gulrajani and Lopez-Paz, In search of lost domain generalization, ICLR 2021. https://arxiv.org/abs/2007.01434
"""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field
from torch import nn

from tlbench.errors import TlbenchError
from tlbench.nn.net import Backbone
from tlbench.nn.shapes import CONVNET_PIXELS, suitable_backbone

GROUPS = 8
"""The number of groups of channels that are normalised together."""


class Options(BaseModel):
    """Options of the backbone `domain_bed_cnn`."""

    model_config = ConfigDict(extra="forbid")

    channels: int = Field(64, ge=GROUPS, multiple_of=GROUPS, description="of the first convolution, D / 2; DomainBed: 64")


def build(shape: tuple[int, ...], options: Options) -> Backbone:
    """Build the backbone: images (B, channels, height, width) -> features (B, D), D = 2 * channels.

    Raises:
        TlbenchError: `shape` is not (channels, height, width) with sides of at least 4 pixels.
    """
    if len(shape) != 3 or min(shape[1:]) < CONVNET_PIXELS:
        raise TlbenchError(
            f"The backbone domain_bed_cnn takes images of at least {CONVNET_PIXELS} pixels a side, not samples of shape "
            f"{shape}. Choose {suitable_backbone(shape)}."
        )
    first, width = options.channels, 2 * options.channels

    def stage(inputs: int, outputs: int, stride: int = 1) -> list[nn.Module]:
        return [nn.Conv2d(inputs, outputs, 3, stride, padding=1), nn.ReLU(), nn.GroupNorm(GROUPS, outputs)]

    return Backbone(
        [
            nn.Sequential(*stage(shape[0], first)),
            nn.Sequential(*stage(first, width, stride=2)),
            nn.Sequential(*stage(width, width)),
            nn.Sequential(*stage(width, width), nn.AdaptiveAvgPool2d(1), nn.Flatten()),
        ],
        width,
    )
