"""A small convolutional network for small images (8 to 32 pixels): two 3x3 convolutions, pooling, one hidden layer."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field
from torch import nn

from tlbench.errors import TlbenchError
from tlbench.nn.net import Backbone
from tlbench.nn.shapes import CONVNET_PIXELS, suitable_backbone


class Options(BaseModel):
    """Options of the backbone `convnet`."""

    model_config = ConfigDict(extra="forbid")

    channels: int = Field(32, ge=1, description="of the first convolution; the second has twice as many")
    width: int = Field(128, ge=1, description="D, the width of the hidden layer")
    batch_norm: bool = Field(False, description="batch normalisation after each convolution")


def build(shape: tuple[int, ...], options: Options) -> Backbone:
    """Build the backbone: images (B, channels, height, width) -> features (B, D).

    Raises:
        TlbenchError: `shape` is not (channels, height, width) with sides of at least 4 pixels.
    """
    if len(shape) != 3 or min(shape[1:]) < CONVNET_PIXELS:
        raise TlbenchError(
            f"The backbone convnet takes images of at least {CONVNET_PIXELS} pixels a side, not samples of shape {shape}. "
            f"Choose {suitable_backbone(shape)}."
        )
    first, second = options.channels, 2 * options.channels
    return Backbone(
        [
            nn.Sequential(
                nn.Conv2d(shape[0], first, 3, padding=1),
                *([nn.BatchNorm2d(first)] * options.batch_norm),
                nn.MaxPool2d(2),
                nn.ReLU(),
            ),
            nn.Sequential(
                nn.Conv2d(first, second, 3, padding=1),
                *([nn.BatchNorm2d(second)] * options.batch_norm),
                nn.MaxPool2d(2),
                nn.ReLU(),
            ),
            nn.Sequential(nn.Flatten(), nn.Linear(second * (shape[1] // 4) * (shape[2] // 4), options.width), nn.ReLU()),
        ],
        options.width,
    )
