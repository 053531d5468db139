"""LeNet for grey or colour images of at least 16 pixels a side: two 5x5 convolutions with pooling, a hidden layer of 500.

LeCun et al., Gradient-based learning applied to document recognition, Proceedings of the IEEE 1998.
https://doi.org/10.1109/5.726791. The widths 20, 50 and 500 are those of Caffe's example, which domain adaptation papers use on
digits. ReLU follows each layer.
"""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field
from torch import nn

from tlbench.errors import TlbenchError
from tlbench.nn.net import Backbone
from tlbench.nn.shapes import suitable_backbone


class Options(BaseModel):
    """Options of the backbone `lenet`."""

    model_config = ConfigDict(extra="forbid")

    width: int = Field(500, ge=1, description="D, the width of the hidden layer")
    batch_norm: bool = Field(False, description="batch normalisation after each layer")
    dropout: float = Field(0.0, ge=0, lt=1, description="before the hidden layer")


def build(shape: tuple[int, ...], options: Options) -> Backbone:
    """Build the backbone: images (B, channels, height, width) -> features (B, D).

    Raises:
        TlbenchError: `shape` is not (channels, height, width) with sides of at least 16 pixels.
    """
    if len(shape) != 3 or min(shape[1:]) < 16:
        raise TlbenchError(
            f"The backbone lenet takes images of at least 16 pixels a side, not samples of shape {shape}. "
            f"Choose {suitable_backbone(shape)}."
        )
    sides = [((side - 4) // 2 - 4) // 2 for side in shape[1:]]
    norm = [nn.BatchNorm2d(20), nn.BatchNorm2d(50), nn.BatchNorm1d(options.width)]

    def with_norm(layer: nn.Module, index: int) -> list[nn.Module]:
        return [layer, norm[index]] if options.batch_norm else [layer]

    # ReLU follows the pooling: the result is the same as before it, for a quarter of the values
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
