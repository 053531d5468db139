"""TrAdaBoost: rounds of a weighted learner; misclassified source samples lose weight, misclassified target samples gain it.

It runs a fixed number of rounds.

Dai, Yang, Xue and Yu, Boosting for transfer learning, ICML 2007. https://doi.org/10.1145/1273496.1273521
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from tlbench.solvers.base_learners import Scorer

MIN_ERROR, MAX_ERROR = 1e-10, 0.499
"""Bounds of the target's error: at 0 the first round would decide alone, from 1/2 on correctly classified samples gain."""


def error_odds(error: float) -> float:
    """beta = e / (1 - e), as in the paper."""
    return error / (1 - error)


@dataclass(frozen=True)
class BoostedLearners:
    """The scorer, beta and target error of each round, and the weights (N,) of all samples before it, which sum to 1."""

    scorers: tuple[Scorer, ...]
    betas: tuple[float, ...]
    errors: tuple[float, ...]
    weights: tuple[Tensor, ...]

    def voters(self) -> zip[tuple[Scorer, float]]:
        """The scorers that vote, those of rounds ceil(N / 2) to N counted from 1, with their weights ln(1 / beta)."""
        first = math.ceil(len(self.scorers) / 2) - 1
        return zip(self.scorers[first:], [math.log(1 / beta) for beta in self.betas[first:]], strict=True)


def tradaboost(
    fit: Callable[[Tensor], Scorer],
    sample_errors: Callable[[Scorer], Tensor],
    is_target_N: Tensor,
    rounds: int,
    beta: Callable[[float], float] = error_odds,
) -> BoostedLearners:
    """TrAdaBoost's loop (Dai et al. 2007, figure 2).

    Args:
        fit: weights (N,) of mean 1 -> a fitted learner.
        sample_errors: learner -> its error on each sample (N,), in [0, 1].
        is_target_N: mask (N,) of the target samples.
        rounds: N of the paper.
        beta: the target's weighted error, within (0, 1/2) -> beta_t.
    """
    source_count = int((~is_target_N).sum())
    shrink = 1 / (1 + math.sqrt(2 * math.log(source_count) / rounds))
    weight_N = torch.full((len(is_target_N),), 1 / len(is_target_N), dtype=torch.float64, device=is_target_N.device)
    scorers, betas, errors, weight_history = [], [], [], []
    for _ in range(rounds):
        weight_N = weight_N / weight_N.sum()
        scorer = fit(weight_N * len(weight_N))
        error_N = sample_errors(scorer)
        on_target = weight_N[is_target_N]
        error = float(on_target @ error_N[is_target_N] / on_target.sum())
        factor = beta(min(max(error, MIN_ERROR), MAX_ERROR))
        scorers.append(scorer)
        betas.append(factor)
        errors.append(error)
        weight_history.append(weight_N)
        weight_N = weight_N * torch.where(is_target_N, factor**-error_N, shrink**error_N)
    return BoostedLearners(tuple(scorers), tuple(betas), tuple(errors), tuple(weight_history))


def weighted_median(values_RNK: Tensor, weight_R: Tensor) -> Tensor:
    """The weighted median (N, K) of R predictions (R, N, K): in order of value, the first whose weights sum to half or more."""
    ordered, order = values_RNK.sort(dim=0)
    reached = weight_R[order].cumsum(dim=0) >= weight_R.sum() / 2
    return ordered.gather(0, reached.to(torch.int8).argmax(dim=0, keepdim=True)).squeeze(0)
