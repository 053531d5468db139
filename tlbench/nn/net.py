"""A network: a backbone that makes features and a head that makes class scores."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class Backbone(nn.Module):
    """The feature extractor: its stages in order, each of which can be frozen, and the width D of its features.

    forward: x (B, ...) -> features (B, D).
    """

    def __init__(self, stages: list[nn.Module], width: int) -> None:
        super().__init__()
        self.stages = nn.ModuleList(stages)
        self.width = width

        self.autocast: torch.dtype | None = None
        """What the stages compute in, where that is not float32; the engine sets it. Features are float32 either way."""

    def forward(self, x: Tensor) -> Tensor:
        """Rows (B, ...) -> features (B, D)."""
        if self.autocast is None:
            return self._through(x)
        # without its cache: a captured step may not use a cast that was made outside it
        with torch.autocast(x.device.type, self.autocast, cache_enabled=False):
            features = self._through(x)
        return features.float()

    def _through(self, x: Tensor) -> Tensor:
        for stage in self.stages:
            x = stage(x)
        return x


class Net(nn.Module):
    """Backbone and linear head: x (B, ...) -> logits (B, C); for regression K predicted columns stand for the C logits."""

    def __init__(self, backbone: Backbone, classes: int, regression: bool = False) -> None:
        super().__init__()
        self.backbone = backbone
        self.classes = classes
        self.regression = regression
        self.head = self.new_head()

    def new_head(self) -> nn.Linear:
        """A fresh linear head of the same shape."""
        return nn.Linear(self.backbone.width, self.classes)

    def features(self, *parts: Tensor) -> tuple[Tensor, ...]:
        """Features of several batches in one forward: each (B_i, ...) -> (B_i, D).

        One large forward costs less than two small ones. With batch normalisation the parts share their statistics.
        """
        together: Tensor = self.backbone(concatenated(*parts))
        return tuple(torch.split(together, [len(part) for part in parts]))

    def forward(self, x: Tensor) -> Tensor:
        """Rows (B, ...) -> logits (B, C)."""
        logits: Tensor = self.head(self.backbone(x))
        return logits


def concatenated(*parts: Tensor) -> Tensor:
    """Batches (B_i, ...) one after the other, (sum of B_i, ...), as `torch.cat` gives them.

    Pieces that make up one tensor in this order, as the engine draws them and as `Net.features` gives them, are not copied.
    """
    whole = None if torch.compiler.is_compiling() else parts[0]._base
    if whole is None or whole.ndim != parts[0].ndim:
        return torch.cat(parts)
    strides, row = whole.stride(), whole.stride(0)
    at, end = whole.storage_offset(), 0
    for part in parts:
        if part._base is not whole or part.stride() != strides or part.storage_offset() != at:
            return torch.cat(parts)
        at += part.shape[0] * row
        end += part.shape[0]
    return whole if end == whole.shape[0] and parts[0].shape[1:] == whole.shape[1:] else torch.cat(parts)
