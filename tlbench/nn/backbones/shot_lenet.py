"""The convolutions of LeNet without a hidden layer, as SHOT takes them for digits: its bottleneck comes behind them.

Liang, Hu and Feng, Do we really need to access the source data?, ICML 2020. https://arxiv.org/abs/2002.08546
"""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field
from torch import nn

from tlbench.errors import TlbenchError
from tlbench.nn.net import Backbone
from tlbench.nn.shapes import suitable_backbone


class Options(BaseModel):
    """Options of the backbone `shot_lenet`."""

    model_config = ConfigDict(extra="forbid")

    dropout: float = Field(0.5, ge=0, lt=1, description="share of the 50 channels that is dropped")


def build(shape: tuple[int, ...], options: Options) -> Backbone:
    """Build the backbone: images (B, channels, height, width) -> features (B, D), D = 800 for 28x28 pixels.

    Raises:
        TlbenchError: `shape` is not (channels, height, width) with sides of at least 16 pixels.
    """
    if len(shape) != 3 or min(shape[1:]) < 16:
        raise TlbenchError(
            f"The backbone shot_lenet takes images of at least 16 pixels a side, not samples of shape {shape}. "
            f"Choose {suitable_backbone(shape)}."
        )
    sides = [((side - 4) // 2 - 4) // 2 for side in shape[1:]]
    dropout = [nn.Dropout2d(options.dropout)] if options.dropout else []
    return Backbone(
        [
            nn.Sequential(nn.Conv2d(shape[0], 20, 5), nn.MaxPool2d(2), nn.ReLU()),
            nn.Sequential(nn.Conv2d(20, 50, 5), *dropout, nn.MaxPool2d(2), nn.ReLU(), nn.Flatten()),
        ],
        50 * sides[0] * sides[1],
    )
