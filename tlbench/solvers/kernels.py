"""Kernels between rows."""

from __future__ import annotations

import torch
from torch import Tensor


def squared_distances(x_ND: Tensor, y_MD: Tensor) -> Tensor:
    """Squared Euclidean distances (N, M), none below 0."""
    squared = torch.addmm(x_ND.square().sum(dim=1)[:, None], x_ND, y_MD.T, alpha=-2)
    return squared.add_(y_MD.square().sum(dim=1)).clamp_min_(0)


def gram(x_ND: Tensor, y_MD: Tensor, gamma: float) -> Tensor:
    """Gaussian kernel exp(-gamma |x - y|^2): (N, M)."""
    return squared_distances(x_ND, y_MD).mul_(-gamma).exp_()


def median_gamma(rows_ND: Tensor, sample: int = 1000) -> float:
    """The median rule: 1 / (2 median |x - y|^2) over pairs of at most `sample` evenly spread rows.

    Where half of the pairs are alike the mean takes the median's place, and where all are, 1.
    """
    rows = rows_ND[torch.linspace(0, len(rows_ND) - 1, min(len(rows_ND), sample)).long()]
    squared = torch.nn.functional.pdist(rows.double()).square()
    typical = next((float(v) for v in (squared.median(), squared.mean()) if len(squared) and float(v) > 0), 0.5)
    return 1 / (2 * typical)
