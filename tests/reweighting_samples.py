"""Samples of two shifted Gaussians, and the weights that reweighting methods give them."""

from __future__ import annotations

from typing import Any

import torch

from tlbench import methods
from tlbench.terms import Labelled, Task

RATIOS = (
    "kmm",
    "kliep",
    "ulsif",
    "rulsif",
    "density_ratio",
    "gaussian_ratio",
    "nearest_neighbor_weights",
    "discriminator_odds",
)
"""The methods of covariate shift."""
FAMILY = (*RATIOS, "mmd_target_shift", "bbse")


def method(name: str, **options: Any) -> Any:
    """A method with options, after a fixed seed."""
    torch.manual_seed(0)
    return methods.method_class(name)(**methods.method_options(name, options))


def weights(
    name: str, source: torch.Tensor, target: torch.Tensor, y: torch.Tensor | None = None, **options: Any
) -> torch.Tensor:
    """The weights of a method, as they come out of it."""
    labels = torch.arange(len(source)) % 2 if y is None else y
    classes = 1 if labels.is_floating_point() else int(labels.max()) + 1
    task = Task(classes, Labelled(source, labels), target, regression=labels.is_floating_point())
    return method(name, **options).weights(Labelled(source.double(), labels), target.double(), task)


def mean_one(w: torch.Tensor) -> torch.Tensor:
    """The weights scaled to mean 1."""
    return w / w.mean()


def shifted_pair(
    count: int = 80, target_count: int = 60, columns: int = 3, shift: float = 0.6, seed: int = 0
) -> tuple[torch.Tensor, torch.Tensor]:
    """Source samples of a standard Gaussian, target samples of a narrower one that is shifted."""
    generator = torch.Generator().manual_seed(seed)
    source = torch.randn(count, columns, generator=generator, dtype=torch.float64)
    return source, 0.8 * torch.randn(target_count, columns, generator=generator, dtype=torch.float64) + shift
