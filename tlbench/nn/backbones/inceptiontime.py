"""InceptionTime for time series: six inception modules of three kernel lengths, residual shortcuts, and the mean over time.

Ismail Fawaz et al., InceptionTime: finding AlexNet for time series classification, Data Mining and Knowledge Discovery 2020.
https://arxiv.org/abs/1909.04939. This is one network of the five whose mean the paper reports.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor, nn

from tlbench.errors import TlbenchError
from tlbench.nn.net import Backbone
from tlbench.nn.shapes import CONV1D_STEPS, suitable_backbone


class Options(BaseModel):
    """Options of the backbone `inceptiontime`."""

    model_config = ConfigDict(extra="forbid")

    filters: int = Field(32, ge=1, description="of each of a module's four branches; features have four times as many")
    modules: int = Field(6, ge=3, multiple_of=3, description="inception modules; a shortcut runs around every three")
    kernel: int = Field(40, ge=4, description="time steps of the longest kernel; the others have a half and a quarter")


def build(shape: tuple[int, ...], options: Options) -> Backbone:
    """Build the backbone: time series (B, channels, time) -> features (B, 4 x filters).

    Each stage is three modules with the shortcut around them; the mean over time is in the last.

    Raises:
        TlbenchError: `shape` is not (channels, time) with at least 8 time steps.
    """
    if len(shape) != 2 or shape[1] < CONV1D_STEPS:
        raise TlbenchError(
            f"The backbone inceptiontime takes time series (channels, time) of at least {CONV1D_STEPS} time steps, not samples "
            f"of shape {shape}. Choose {suitable_backbone(shape)}."
        )
    width = 4 * options.filters
    channels = [shape[0], *[width] * (options.modules // 3 - 1)]
    stages: list[nn.Module] = [_Residual(before, options.filters, options.kernel) for before in channels]
    stages[-1] = nn.Sequential(stages[-1], nn.AdaptiveAvgPool1d(1), nn.Flatten())
    return Backbone(stages, width)


class _Residual(nn.Module):
    """Three inception modules, and a shortcut around them."""

    def __init__(self, channels: int, filters: int, kernel: int) -> None:
        super().__init__()
        width = 4 * filters
        self.modules_in_line = nn.Sequential(*(_Inception(before, filters, kernel) for before in (channels, width, width)))
        self.shortcut = nn.Sequential(nn.Conv1d(channels, width, 1, bias=False), nn.BatchNorm1d(width))

    def forward(self, x: Tensor) -> Tensor:
        """Series (B, channels, time) -> (B, 4 x filters, time)."""
        return F.relu(self.modules_in_line(x) + self.shortcut(x))


class _Inception(nn.Module):
    """A bottleneck, three convolutions of different length beside a pooled branch, batch normalisation and ReLU."""

    def __init__(self, channels: int, filters: int, kernel: int) -> None:
        super().__init__()
        self.bottleneck = nn.Conv1d(channels, filters, 1, bias=False) if channels > 1 else nn.Identity()
        narrow = filters if channels > 1 else 1
        lengths = (kernel, kernel // 2, kernel // 4)
        self.branches = nn.ModuleList(
            # an even kernel looks one step further ahead than back, as in the authors' code
            nn.Sequential(
                nn.ConstantPad1d(((length - 1) // 2, length // 2), 0.0), nn.Conv1d(narrow, filters, length, bias=False)
            )
            for length in lengths
        )
        self.pooled = nn.Sequential(nn.MaxPool1d(3, 1, 1), nn.Conv1d(channels, filters, 1, bias=False))
        self.norm = nn.BatchNorm1d(4 * filters)

    def forward(self, x: Tensor) -> Tensor:
        """Series (B, channels, time) -> (B, 4 x filters, time)."""
        narrow = self.bottleneck(x)
        return F.relu(self.norm(torch.cat([*(branch(narrow) for branch in self.branches), self.pooled(x)], dim=1)))
