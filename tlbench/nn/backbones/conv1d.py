"""A small convolutional network for time series: three convolutions along time, pooling, the mean over time.

After the CNN of Ragab et al., AdaTime: a benchmarking suite for domain adaptation on time series data, ACM TKDD 2023, which has
convolution, batch normalisation, ReLU and pooling three times over. https://arxiv.org/abs/2203.08321. The widths and kernels
here are smaller, for runs on two cores.
"""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field
from torch import nn

from tlbench.errors import TlbenchError
from tlbench.nn.net import Backbone
from tlbench.nn.shapes import CONV1D_STEPS, suitable_backbone


class Options(BaseModel):
    """Options of the backbone `conv1d`."""

    model_config = ConfigDict(extra="forbid")

    channels: int = Field(32, ge=1, description="of the first convolution; the second has twice as many")
    width: int = Field(128, ge=1, description="D, the channels of the last convolution")
    kernel: int = Field(5, ge=1, description="time steps of the first convolution's kernel; the others have at most 5")
    stride: int = Field(1, ge=1, description="time steps from one place of the first convolution's kernel to the next")
    batch_norm: bool = Field(True, description="batch normalisation after each convolution")
    dropout: float = Field(0.0, ge=0, lt=1, description="after the first convolution")


def build(shape: tuple[int, ...], options: Options) -> Backbone:
    """Build the backbone: time series (B, channels, time) -> features (B, D).

    Raises:
        TlbenchError: `shape` is not (channels, time) with at least 8 time steps.
    """
    if len(shape) != 2 or shape[1] < CONV1D_STEPS:
        raise TlbenchError(
            f"The backbone conv1d takes time series (channels, time) of at least {CONV1D_STEPS} time steps, not samples of "
            f"shape {shape}. Choose {suitable_backbone(shape)}."
        )
    widths = [shape[0], options.channels, 2 * options.channels, options.width]
    kernels = [options.kernel, min(options.kernel, 5), min(options.kernel, 5)]
    strides = [options.stride, 1, 1]
    stages: list[nn.Module] = []
    for before, after, kernel, stride in zip(widths, widths[1:], kernels, strides, strict=False):
        is_last = len(stages) == 2
        stages.append(
            nn.Sequential(
                nn.Conv1d(before, after, kernel, stride, padding=kernel // 2),
                *([nn.BatchNorm1d(after)] * options.batch_norm),
                nn.ReLU(),
                *([nn.AdaptiveAvgPool1d(1), nn.Flatten()] if is_last else [nn.MaxPool1d(2)]),
                *([nn.Dropout(options.dropout)] * (not stages and options.dropout > 0)),
            )
        )
    return Backbone(stages, options.width)
