"""Boosting over two domains: rounds of a weighted learner in which wrong source rows lose weight and wrong target rows gain."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from tlbench.solvers.base_learners import Scorer

LEAST, MOST = 1e-10, 0.499
"""Bounds of the target's error: at 0 the first round would decide alone, and from 1/2 on right rows would gain."""


def odds(error: float) -> float:
    """beta = e / (1 - e), the paper's."""
    return error / (1 - error)


@dataclass(frozen=True)
class Boosted:
    """The rounds' scorers and betas, and the weights (N,) of all rows before each round (they sum to 1)."""

    scorers: tuple[Scorer, ...]
    betas: tuple[float, ...]
    errors: tuple[float, ...]
    weights: tuple[Tensor, ...]

    def later(self) -> zip[tuple[Scorer, float]]:
        """The scorers that have a say, with their weights ln(1 / beta): rounds ceil(N / 2) to N, counted from 1."""
        first = math.ceil(len(self.scorers) / 2) - 1
        return zip(self.scorers[first:], [math.log(1 / beta) for beta in self.betas[first:]], strict=True)


def two_domain_boosting(
    fit: Callable[[Tensor], Scorer],
    wrong: Callable[[Scorer], Tensor],
    is_target_N: Tensor,
    rounds: int,
    beta: Callable[[float], float] = odds,
) -> Boosted:
    """TrAdaBoost's loop (Dai et al. 2007, figure 2).

    Args:
        fit: weights (N,) of mean 1 -> a fitted learner.
        wrong: learner -> how wrong it is on each row (N,), in [0, 1].
        is_target_N: which rows are from the target.
        rounds: N of the paper.
        beta: the target's weighted error, within (0, 1/2) -> beta_t.
    """
    source_rows = int((~is_target_N).sum())
    shrink = 1 / (1 + math.sqrt(2 * math.log(source_rows) / rounds))
    weight_N = torch.full((len(is_target_N),), 1 / len(is_target_N), dtype=torch.float64, device=is_target_N.device)
    scorers, betas, errors, seen = [], [], [], []
    for _ in range(rounds):
        weight_N = weight_N / weight_N.sum()
        scorer = fit(weight_N * len(weight_N))
        error_N = wrong(scorer)
        on_target = weight_N[is_target_N]
        error = float(on_target @ error_N[is_target_N] / on_target.sum())
        factor = beta(min(max(error, LEAST), MOST))
        scorers.append(scorer)
        betas.append(factor)
        errors.append(error)
        seen.append(weight_N)
        weight_N = weight_N * torch.where(is_target_N, factor**-error_N, shrink**error_N)
    return Boosted(tuple(scorers), tuple(betas), tuple(errors), tuple(seen))


def weighted_median(values_RNK: Tensor, weight_R: Tensor) -> Tensor:
    """Of R predictions (R, N, K): the first, in order of value, whose cumulated weight reaches half: (N, K)."""
    ordered, order = values_RNK.sort(dim=0)
    reached = weight_R[order].cumsum(dim=0) >= weight_R.sum() / 2
    return ordered.gather(0, reached.to(torch.int8).argmax(dim=0, keepdim=True)).squeeze(0)
