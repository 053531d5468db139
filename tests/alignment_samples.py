"""Samples and tasks of the tests of alignment, and a method fitted on them."""

from __future__ import annotations

import numpy as np
import torch
from tiny_suite import blobs

from tlbench import methods
from tlbench.methods.base import ShallowMethod
from tlbench.terms import Task


def mixed_samples(seed: int, count: int, columns: int = 6, scale: float = 1.0) -> torch.Tensor:
    """Gaussian samples (N, D) with correlated columns, float64."""
    generator = torch.Generator().manual_seed(seed)
    mixing = torch.randn(columns, columns, generator=generator, dtype=torch.float64)
    return scale * torch.randn(count, columns, generator=generator, dtype=torch.float64) @ mixing


def shifted_task(shift: float = 0.5, seed: int = 1, count: int = 60) -> Task:
    """Three separated classes; the target is shifted."""
    return Task(3, blobs(seed, count), blobs(seed + 1, count, shift).x, blobs(seed + 2, 12, shift))


def fitted(name: str, task: Task, **options: object) -> tuple[ShallowMethod, torch.Tensor]:
    """The method, and its scores of fixed samples."""
    torch.manual_seed(0)
    method = methods.method_class(name)(**methods.method_options(name, options))
    assert isinstance(method, ShallowMethod)
    return method, method.fit(task)(blobs(9, 45, 0.5).x)


def gaussian_gram(x: np.ndarray, gamma: float) -> np.ndarray:
    """exp(-gamma |x - y|^2) in plain numpy."""
    return np.exp(-gamma * ((x[:, None] - x[None]) ** 2).sum(axis=2))
