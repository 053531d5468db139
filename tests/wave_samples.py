"""Numbers that need no generator: the same on every machine and with every version of torch."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from tlbench import methods
from tlbench.methods.base import DeepMethod
from tlbench.nn import backbones
from tlbench.nn.net import Backbone, Net

CLASSES = 4
LABELS = torch.arange(12) % CLASSES


def wave(samples: int, columns: int, start: float) -> Tensor:
    """Numbers (samples, columns) in [-1, 1] without pattern: sin(0.37 k^2 + start) for k = 0, 1, ..."""
    k = torch.arange(samples * columns, dtype=torch.float64)
    return torch.sin(k * k * 0.37 + start).float().view(samples, columns)


SOURCE_BD, TARGET_BD = wave(12, 8, 1) + 0.3, wave(12, 8, 2) * 1.5
"""Features of twelve samples of each domain."""
SOURCE_BC, TARGET_BC = 2 * wave(12, CLASSES, 3), 2 * wave(12, CLASSES, 4)
"""Logits of them."""
HEAD_CD = wave(CLASSES, 8, 7)


class Identity(Backbone):
    """A backbone whose features are its inputs."""

    def __init__(self) -> None:
        super().__init__([nn.Identity()], 8)


class Fixed(nn.Module):
    """A module that returns the same numbers whatever it gets."""

    def __init__(self, output: Tensor) -> None:
        super().__init__()
        self.output = output

    def forward(self, x: Tensor) -> Tensor:
        """Anything -> the fixed numbers."""
        return self.output


def new_method(name: str, batch_norm: bool = False, **options) -> DeepMethod:
    """A deep method on a small mlp for inputs (B, 8) and four classes."""
    torch.manual_seed(0)
    backbone = backbones.build_backbone("mlp", (8,), {"hidden": [8], "batch_norm": batch_norm})
    return methods.method_class(name)(Net(backbone, CLASSES), **methods.method_options(name, options))


def is_close(value: Tensor, golden: float | list[float]) -> bool:
    """Whether a value agrees with golden numbers of float32 to 1e-5 of the largest of them."""
    expected = torch.tensor(golden)
    return torch.allclose(value.detach(), expected, rtol=0, atol=1e-5 * max(float(expected.abs().max()), 1e-3))
