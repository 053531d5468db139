"""The Gaussian kernel between samples, and the median rule for its width."""

from __future__ import annotations

import torch
from torch import Tensor


def squared_distances(x_ND: Tensor, y_MD: Tensor) -> Tensor:
    """Squared Euclidean distances (N, M), none below 0."""
    squared = torch.addmm(x_ND.square().sum(dim=1)[:, None], x_ND, y_MD.T, alpha=-2)
    return squared.add_(y_MD.square().sum(dim=1)).clamp_min_(0)


def gram(x_ND: Tensor, y_MD: Tensor, gamma: float) -> Tensor:
    """Gaussian kernel matrix exp(-gamma |x - y|^2): (N, M)."""
    return squared_distances(x_ND, y_MD).mul_(-gamma).exp_()


def median_gamma(x_ND: Tensor, max_samples: int = 1000) -> float:
    """The median rule: 1 / (2 median |x - y|^2) over the pairs of at most `max_samples` evenly spaced samples.

    Where half of the pairs are identical the mean takes the place of the median; where all are, the squared distance counts
    as 1/2, so that gamma is 1.
    """
    subset = x_ND[torch.linspace(0, len(x_ND) - 1, min(len(x_ND), max_samples)).long()]
    squared = torch.nn.functional.pdist(subset.double()).square()
    typical = next((float(v) for v in (squared.median(), squared.mean()) if len(squared) and float(v) > 0), 0.5)
    return 1 / (2 * typical)
