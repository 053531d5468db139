"""LeNet for grey or colour images from 16 pixels on: two 5x5 convolutions with pooling, one hidden layer of 500.

LeCun et al., Gradient-based learning applied to document recognition, Proceedings of the IEEE 1998; the widths 20, 50, 500
are those of Caffe's example, which domain adaptation papers use on digits. ReLU follows each layer.
"""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field
from torch import nn

from tlbench.errors import TlbenchError
from tlbench.nn.net import Backbone


class Options(BaseModel):
    """Options of the backbone `lenet`."""

    model_config = ConfigDict(extra="forbid")

    width: int = Field(500, ge=1, description="D, the width of the hidden layer")
    batch_norm: bool = False
    dropout: float = Field(0.0, ge=0, lt=1, description="before the hidden layer")


def build(shape: tuple[int, ...], options: Options) -> Backbone:
    """Images (B, channels, height, width) -> features (B, D)."""
    if len(shape) != 3 or min(shape[1:]) < 16:
        raise TlbenchError(f"backbone lenet takes images from 16 pixels on, not rows of shape {shape}; choose mlp or convnet")
    sides = [((side - 4) // 2 - 4) // 2 for side in shape[1:]]
    norm = [nn.BatchNorm2d(20), nn.BatchNorm2d(50), nn.BatchNorm1d(options.width)]

    def with_norm(layer: nn.Module, index: int) -> list[nn.Module]:
        return [layer, norm[index]] if options.batch_norm else [layer]

    # ReLU after the pooling: the same values as before it, on a quarter of them
    return Backbone(
        [
            nn.Sequential(*with_norm(nn.Conv2d(shape[0], 20, 5), 0), nn.MaxPool2d(2), nn.ReLU()),
            nn.Sequential(*with_norm(nn.Conv2d(20, 50, 5), 1), nn.MaxPool2d(2), nn.ReLU()),
            nn.Sequential(
                nn.Flatten(),
                *([nn.Dropout(options.dropout)] * (options.dropout > 0)),
                *with_norm(nn.Linear(50 * sides[0] * sides[1], options.width), 2),
                nn.ReLU(),
            ),
        ],
        options.width,
    )
