"""A network: a backbone from inputs to features, and a linear head from features to class scores."""

from __future__ import annotations

import contextlib

import torch
from torch import Tensor, nn


class Backbone(nn.Module):
    """The feature extractor: inputs (B, ...) -> features (B, D).

    Args:
        stages: modules that run one after the other; methods may freeze them or train them at a rate of their own. The last one
            returns features (B, D).
        width: D, the width of the features.
    """

    def __init__(self, stages: list[nn.Module], width: int) -> None:
        super().__init__()
        self.stages: nn.ModuleList | list[nn.Module] = nn.ModuleList(stages)
        self.width = width

        self.autocast: torch.dtype | None = None
        """The dtype of the stages under autocast, set by the engine; None: no autocast. Features are float32 in any case."""

    def forward(self, x: Tensor) -> Tensor:
        """Inputs (B, ...) -> features (B, D) in float32."""
        if self.autocast is None:
            return self._run_stages(x)
        # no cache of casts: a captured step must not use a cast from outside the capture
        with torch.autocast(x.device.type, self.autocast, cache_enabled=False):
            features = self._run_stages(x)
        return features.float()

    def stage_outputs(self, x: Tensor) -> list[Tensor]:
        """Inputs (B, ...) -> the outputs (B, ...) of every stage in float32; the last are the features (B, D)."""
        enabled = self.autocast is not None
        outputs: list[Tensor] = []
        with torch.autocast(x.device.type, self.autocast, cache_enabled=False) if enabled else contextlib.nullcontext():
            for stage in self.stages:
                x = stage(x)
                outputs.append(x)
        return [output.float() for output in outputs] if enabled else outputs

    def _run_stages(self, x: Tensor) -> Tensor:
        for stage in self.stages:
            x = stage(x)
        return x


class Net(nn.Module):
    """Backbone and linear head: inputs (B, ...) -> logits (B, C); for a regression, predictions (B, K).

    `net.backbone(x)` gives features (B, D), `net.head(features)` logits (B, C), and `net.features(a, b)` the features of two
    batches from one forward pass.

    Args:
        backbone: the feature extractor.
        classes: C, the number of classes, or K, the number of target columns of a regression.
        regression: whether outputs are predictions instead of logits; `DeepMethod.criterion` follows it.
    """

    def __init__(self, backbone: Backbone, classes: int, regression: bool = False) -> None:
        super().__init__()
        self.backbone = backbone
        self.classes = classes
        self.regression = regression
        self.head = self.new_head()

    def new_head(self) -> nn.Linear:
        """Create another linear head of the same shape, D to C, with weights of its own."""
        return nn.Linear(self.backbone.width, self.classes)

    def features(self, *batches: Tensor) -> tuple[Tensor, ...]:
        """Features of several batches from one forward pass: each (B_i, ...) -> (B_i, D).

        One large forward pass costs less than two small ones. In batch normalisation all batches share their statistics.
        """
        features_BD: Tensor = self.backbone(concatenated(*batches))
        return tuple(torch.split(features_BD, [len(batch) for batch in batches]))

    def forward(self, x: Tensor) -> Tensor:
        """Inputs (B, ...) -> logits (B, C)."""
        logits: Tensor = self.head(self.backbone(x))
        return logits


def concatenated(*batches: Tensor) -> Tensor:
    """Concatenate batches (B_i, ...) to (sum of B_i, ...), as `torch.cat` does, without a copy where they are adjacent views.

    The engine draws batches, and `Net.features` returns features, as views that make up one tensor in this order.
    """
    first = batches[0]
    base = None if torch.compiler.is_compiling() else first._base
    if base is None or base.ndim != first.ndim:
        return torch.cat(batches)
    strides, stride = base.stride(), base.stride(0)
    offset, end = base.storage_offset(), 0
    for batch in batches:
        if batch._base is not base or batch.stride() != strides or batch.storage_offset() != offset:
            return torch.cat(batches)
        offset += batch.shape[0] * stride
        end += batch.shape[0]
    return base if end == base.shape[0] and first.shape[1:] == base.shape[1:] else torch.cat(batches)
