"""Samples of the tests of optimal transport, and the exact plan as a plan solver."""

from __future__ import annotations

import torch

from tlbench.solvers import optimal_transport


def gaussian_samples(seed: int, count: int, shift: float = 0.0) -> torch.Tensor:
    """Gaussian samples (N, 3), float64."""
    return torch.randn(count, 3, generator=torch.Generator().manual_seed(seed), dtype=torch.float64) + shift


def exact(cost: torch.Tensor, *_: torch.Tensor) -> torch.Tensor:
    """The exact plan of a block."""
    return optimal_transport.exact_plan(cost)
