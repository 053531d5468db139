"""What methods for domain generalisation share: means over the sources of a batch, and over their pairs."""

from __future__ import annotations

import torch
from torch import Tensor


def is_present(shares_SB: Tensor) -> Tensor:
    """Which of the sources (S,) have a sample in the batch, as 0 and 1; `shares_SB` are their weights (S, B)."""
    return (shares_SB.sum(dim=1) > 0).to(shares_SB.dtype)


def mean_over_sources(values_S: Tensor, shares_SB: Tensor) -> Tensor:
    """The mean of values (S,) over the sources that have a sample in the batch, a scalar."""
    present_S = is_present(shares_SB)
    mean: Tensor = (present_S * values_S).sum() / present_S.sum()
    return mean


def mean_over_pairs(values_SS: Tensor, shares_SB: Tensor) -> Tensor:
    """The mean of values (S, S) over the pairs of different sources that both have a sample in the batch; 0 without a pair."""
    present_S = is_present(shares_SB)
    pairs_SS = (present_S[:, None] * present_S).triu(diagonal=1)
    mean: Tensor = (pairs_SS * values_SS).sum() / pairs_SS.sum().clamp_min(1)
    return mean


def class_probabilities(y: Tensor, classes: int) -> Tensor:
    """Classes (B,) as probabilities (B, C) of 0 and 1; class probabilities (B, C) as they are."""
    return y if y.ndim == 2 else torch.zeros(len(y), classes, device=y.device).scatter(1, y[:, None], 1)
