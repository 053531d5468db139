"""What methods for domain generalisation share: the risks of the sources in a batch, and a warm-up before a penalty."""

from __future__ import annotations

from collections.abc import Callable

import torch
from pydantic import Field
from torch import Tensor

from tlbench.methods.base import DeepMethod, Phase
from tlbench.terms import Step


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


class WarmUpMethod(DeepMethod):
    """A loss whose penalty sets in after a warm-up, with a new optimizer, as in DomainBed, where Adam's state is reset."""

    reads = frozenset({"source"})
    soft_labels = True
    warm_up: float = Field(
        0.1, ge=0, lt=1, description="share of the steps before the penalty sets in; DomainBed: 500 of 5,000"
    )

    def warm_up_loss(self, step: Step) -> Tensor:
        """The loss of a step of the warm-up, a scalar."""
        raise NotImplementedError

    def phases(self) -> tuple[Phase, ...]:
        """The warm-up, if there is one, and the training with the penalty."""
        after = self.after_step()
        last = Phase(self.loss, self.reads, 1 - self.warm_up, after=after)
        return (Phase(self.warm_up_loss, self.reads, self.warm_up, after=after), last) if self.warm_up else (last,)

    def after_step(self) -> Callable[[float], None] | None:
        """What follows each step of both phases."""
        return None
