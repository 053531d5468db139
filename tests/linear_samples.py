"""Samples of a linear model with one column."""

from __future__ import annotations

import torch


def linear(
    count: int, seed: int, change: float = 0.0, columns: int = 5, noise: float = 0.3
) -> tuple[torch.Tensor, torch.Tensor]:
    """Samples and one column y = x w + noise, w changed by `change` in its first entry."""
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(count, columns, generator=generator, dtype=torch.float64)
    w = torch.linspace(-1, 1, columns).double()
    w[0] += change
    return x, (x @ w + noise * torch.randn(count, generator=generator).double())[:, None]


def mirrored(x: torch.Tensor, y: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Samples and their negatives: means are 0, so that the free intercept is 0; every sum of squares doubles."""
    return torch.cat([x, -x]), torch.cat([y, -y])
