"""The odds that a source row is from the target, by logistic regression out of fold, and how far they can be trusted."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import softplus

from tlbench.solvers import nystrom
from tlbench.solvers.base_learners import softmax_regression

PENALTIES = tuple(10.0**k for k in range(-4, 3))
"""Tried by `best_penalty`, times the number of rows and the mean variance of a column: 1e-4 is hardly any, 100 nearly all."""
NEWTON_COLUMNS = 500
"""Columns up to which the logistic regression is solved by Newton's method; beyond, by L-BFGS."""
CHOSEN_ON = 1000
"""Rows of each domain that a penalty is chosen on, at most."""


def log_odds(source_ND: Tensor, target_MD: Tensor, penalty: float, folds: int, iterations: int) -> Tensor:
    """log P(target | x) / P(source | x) of the source rows (N,), each from a fit without it; the domains count alike."""
    return _out_of_fold(source_ND, target_MD, penalty, folds, iterations)[: len(source_ND)]


def best_penalty(source_ND: Tensor, target_MD: Tensor, folds: int, iterations: int) -> float:
    """The penalty under which rows left out are told apart with the largest likelihood, both domains counting alike.

    Chosen on at most `CHOSEN_ON` rows of each domain, and scaled to the number of all rows. Where several are as good to
    within a standard error of the best, the strongest of them: its weights are flatter.
    """
    source, target = nystrom.random_landmarks(source_ND, CHOSEN_ON), nystrom.random_landmarks(target_MD, CHOSEN_ON)
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


def tempering(log_N: Tensor, effective: float) -> float:
    """The largest power in [0, 1] at which the weights exp(power log) have so large an effective share (Kish) of the rows."""

    def share(power: float) -> float:
        weights = torch.softmax(power * log_N, dim=0)
        return float(1 / (len(weights) * weights.square().sum()))

    if share(1.0) >= effective:
        return 1.0
    low, high = 0.0, 1.0
    for _ in range(40):
        middle = (low + high) / 2
        low, high = (middle, high) if share(middle) >= effective else (low, middle)
    return low


def _out_of_fold(source_ND: Tensor, target_MD: Tensor, penalty: float, folds: int, iterations: int) -> Tensor:
    """Log odds (N + M,) for the balanced domains: the prior N / M is taken out by the weights of the fit."""
    x = torch.cat([source_ND, target_MD]).double()
    is_target = torch.cat([source_ND.new_zeros(len(source_ND)), source_ND.new_ones(len(target_MD))]).long()
    fold = nystrom.stratified_folds(x, is_target, folds)
    balance = torch.where(is_target == 1, len(x) / (2 * len(target_MD)), len(x) / (2 * len(source_ND))).to(x)
    logs = x.new_zeros(len(x))
    for k in range(folds):
        fit = fold != k
        slope, intercept = fit_odds(x[fit], is_target[fit], balance[fit], penalty, iterations)
        logs[~fit] = x[~fit] @ slope + intercept
    return logs


def fit_odds(x_ND: Tensor, y_N: Tensor, weight_N: Tensor, penalty: float, iterations: int) -> tuple[Tensor, Tensor]:
    """Slope (D,) and intercept of the log odds of y = 1: minimises sum_i w_i CE_i + penalty / 4 |slope|^2, the intercept free.

    That is `learners.logistic` of two classes. Newton's method with halved steps, or L-BFGS for many columns.
    """
    if x_ND.shape[1] > NEWTON_COLUMNS:
        both, shift = softmax_regression(x_ND, y_N, 2, weight_N=weight_N, penalty=penalty, iterations=iterations)
        return both[1] - both[0], shift[1] - shift[0]
    centre = x_ND.mean(dim=0)
    # one unit for all columns: squares of very large or small ones would leave the range of numbers
    unit = (x_ND - centre).abs().max().clamp_min(1e-300)
    x = torch.cat([(x_ND - centre) / unit, x_ND.new_ones(len(x_ND), 1)], dim=1)
    ridge = (penalty / 2 / unit.square()).expand(x.shape[1]).clone()
    ridge[-1] = 0.0
    sign, w = (2 * y_N - 1).to(x), torch.zeros(x.shape[1]).to(x)

    def loss(w: Tensor) -> float:
        return float((weight_N * softplus(-sign * (x @ w))).sum() + (ridge * w.square()).sum() / 2)

    now = loss(w)
    for _ in range(iterations):
        share = torch.sigmoid(x @ w)
        gradient = x.T @ (weight_N * (share - y_N)) + ridge * w
        curve = (x * (weight_N * share * (1 - share))[:, None]).T @ x + ridge.diag()
        floor = 1e-12 * curve.diagonal().max() * torch.eye(len(w)).to(w)  # separable rows have no curvature left
        step, _ = torch.linalg.solve_ex(curve + floor, gradient)
        size = 1.0
        while size > 1e-6 and not (then := loss(w - size * step)) <= now:
            size /= 2
        if size <= 1e-6 or now - then <= 1e-12 * (1 + abs(now)):
            break
        w, now = w - size * step, then
    slope = w[:-1] / unit
    return slope, w[-1] - centre @ slope
