"""The odds that a source sample is from the target, by logistic regression fitted out of fold, and their tempering.

The regression is solved to the stopping rule of `solvers.softmax`.

Bickel, Brückner and Scheffer, Discriminative learning for differing training and test distributions, ICML 2007 (the two-step
form). https://doi.org/10.1145/1273496.1273507
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import softplus

from tlbench.solvers import sampling
from tlbench.solvers.softmax import Note, softmax_regression

PENALTIES = tuple(10.0**k for k in range(-4, 3))
"""Candidates of `choose_penalty`, times the number of samples and the mean variance of a column: 1e-4 is weak, 100 strong."""
MAX_SELECTION_SAMPLES = 1000
"""Samples of each domain that a penalty is chosen on, at most."""


def log_odds(
    source_ND: Tensor, target_MD: Tensor, penalty: float, folds: int, iterations: int, note: Note | None = None
) -> Tensor:
    """log P(target | x) / P(source | x) of the source samples (N,), each from a fit without it; the domains weigh the same.

    Args:
        source_ND: source samples (N, D).
        target_MD: target samples (M, D).
        penalty: see `fit_odds`.
        folds: number of folds.
        iterations: Newton steps, at most.
        note: is told where they end before the optimum.
    """
    return _out_of_fold(source_ND, target_MD, penalty, folds, iterations, note)[: len(source_ND)]


def choose_penalty(source_ND: Tensor, target_MD: Tensor, folds: int, iterations: int) -> float:
    """The penalty of the largest cross-validated likelihood of the domain, in which the domains weigh the same.

    It is chosen on at most `MAX_SELECTION_SAMPLES` samples of each domain, and scaled to the number of all samples. Of the
    candidates within a standard error of the best the strongest is taken: its weights are flatter.

    Args:
        source_ND: source samples (N, D).
        target_MD: target samples (M, D).
        folds: number of folds.
        iterations: Newton steps, at most.
    """
    source = sampling.random_subset(source_ND, MAX_SELECTION_SAMPLES)
    target = sampling.random_subset(target_MD, MAX_SELECTION_SAMPLES)
    variance = float(torch.cat([source, target]).var(dim=0, correction=0).mean()) or 1.0
    signs = torch.cat([-torch.ones(len(source)), torch.ones(len(target))]).to(source)
    losses = []
    for factor in PENALTIES:
        logs = _out_of_fold(source, target, factor * len(signs) * variance, folds, iterations)
        losses.append(softplus(-signs * logs))
    best = min(range(len(PENALTIES)), key=lambda k: float(losses[k].mean()))
    error = losses[best].std(correction=0) / len(signs) ** 0.5
    strongest = max(k for k in range(len(PENALTIES)) if float(losses[k].mean()) <= float(losses[best].mean() + error))
    return PENALTIES[strongest] * (len(source_ND) + len(target_MD)) * variance


def tempering_power(log_N: Tensor, effective: float) -> float:
    """The largest power in [0, 1] at which weights exp(power log) have this effective share of the samples (Kish), or more.

    It is found by 40 bisections.
    """

    def effective_share(power: float) -> float:
        weights = torch.softmax(power * log_N, dim=0)
        return float(1 / (len(weights) * weights.square().sum()))

    if effective_share(1.0) >= effective:
        return 1.0
    low, high = 0.0, 1.0
    for _ in range(40):
        middle = (low + high) / 2
        low, high = (middle, high) if effective_share(middle) >= effective else (low, middle)
    return low


def tempering_note(power: float, effective: float) -> str:
    """A sentence for the record where the log weights are multiplied by a power below 1."""
    return f"The log weights are multiplied by {power:.2g}: fewer than {effective:.0%} of the samples would have the weight."


def _out_of_fold(
    source_ND: Tensor, target_MD: Tensor, penalty: float, folds: int, iterations: int, note: Note | None = None
) -> Tensor:
    """Log odds (N + M,) for balanced domains: the prior N / M is taken out by the weights of the fit."""
    x = torch.cat([source_ND, target_MD]).double()
    is_target = torch.cat([source_ND.new_zeros(len(source_ND)), source_ND.new_ones(len(target_MD))]).long()
    fold = sampling.stratified_folds(x, is_target, folds)
    balance = torch.where(is_target == 1, len(x) / (2 * len(target_MD)), len(x) / (2 * len(source_ND))).to(x)
    logs = x.new_zeros(len(x))
    for k in range(folds):
        fit = fold != k
        slope, intercept = fit_odds(x[fit], is_target[fit], balance[fit], penalty, iterations, note)
        logs[~fit] = x[~fit] @ slope + intercept
    return logs


def fit_odds(
    x_ND: Tensor, y_N: Tensor, weight_N: Tensor, penalty: float, iterations: int, note: Note | None = None
) -> tuple[Tensor, Tensor]:
    """Slope (D,) and intercept of the log odds of y = 1: minimises sum_i w_i CE_i + penalty / 4 |slope|^2.

    The intercept is free. The solution is that of `base_learners.fit_logistic` for two classes.

    Args:
        x_ND: samples (N, D), float64.
        y_N: int64 classes (N,), 0 or 1.
        weight_N: weights (N,).
        penalty: of the squared slope, over 4.
        iterations: Newton steps, at most.
        note: is told where they end before the optimum.
    """
    coefficients, shift = softmax_regression(x_ND, y_N, 2, weight_N=weight_N, penalty=penalty, iterations=iterations, note=note)
    return coefficients[1] - coefficients[0], shift[1] - shift[0]
