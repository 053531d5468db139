"""The weights of discriminator_reweight in plain torch: the out-of-fold odds of a logistic regression.

Random numbers are drawn in the order in which the engine's method draws them, so that both have the same folds.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

FOLDS, ITERATIONS, CAP, EFFECTIVE, CHOSEN = 3, 50, 10.0, 0.5, 1000


def weights(source: Tensor, target: Tensor) -> Tensor:
    """Weights (N,) of mean 1 for float64 source samples (N, D): the odds of being a target sample, tempered and capped."""
    logs = log_odds(source, target, best_penalty(source, target))[: len(source)]
    low, high = 0.0, 1.0
    if effective(logs) < EFFECTIVE:  # too few rows would hold all the weight
        for _ in range(40):
            middle = (low + high) / 2
            low, high = (middle, high) if effective(middle * logs) >= EFFECTIVE else (low, middle)
        logs = low * logs
    capped = (logs.softmax(0) * len(logs)).clamp_max(CAP)
    return (capped / capped.mean()).float()


def effective(logs: Tensor) -> float:
    """Kish's effective share of the rows."""
    return float(1 / (len(logs) * logs.softmax(0).square().sum()))


def best_penalty(source: Tensor, target: Tensor) -> float:
    """The strongest penalty whose likelihood on rows left out is within a standard error of the best."""
    n, m = len(source), len(target)
    source, target = (x[shuffled(x)[:CHOSEN]] for x in (source, target))
    samples = len(source) + len(target)
    variance = float(torch.cat([source, target]).var(0, correction=0).mean())
    sign = torch.cat([-torch.ones(len(source)), torch.ones(len(target))]).double()
    factors = [10.0**k for k in range(-4, 3)]
    losses = [F.softplus(-sign * log_odds(source, target, factor * samples * variance)) for factor in factors]
    best = min(losses, key=lambda loss: float(loss.mean()))
    enough = float(best.mean() + best.std(correction=0) / samples**0.5)
    return max(f for f, loss in zip(factors, losses, strict=True) if float(loss.mean()) <= enough) * (n + m) * variance


def log_odds(source: Tensor, target: Tensor, penalty: float) -> Tensor:
    """log P(target | x) / P(source | x) of all rows, each from a fit without it; the domains count alike."""
    x, n, m = torch.cat([source, target]), len(source), len(target)
    y = torch.cat([torch.zeros(n), torch.ones(m)]).long()
    balance = torch.where(y == 1, len(x) / (2 * m), len(x) / (2 * n)).double()
    order = shuffled(x)
    order = order[y[order].argsort(stable=True)]
    fold = torch.empty_like(order)
    fold[order] = torch.arange(len(x)) % FOLDS
    logs = torch.empty(len(x), dtype=torch.float64)
    for k in range(FOLDS):
        seen = fold != k
        slope, intercept = logistic(x[seen], y[seen], balance[seen], penalty)
        logs[~seen] = x[~seen] @ slope + intercept
    return logs


def logistic(x: Tensor, y: Tensor, weight: Tensor, penalty: float) -> tuple[Tensor, Tensor]:
    """Slope (D,) and intercept of the log odds of y = 1, by L-BFGS on columns of one scale."""
    scale = x.std(0).clamp_min(1e-3 * float(x.std()) + 1e-12)
    x = x / scale
    w = torch.zeros(2, x.shape[1] + 1, dtype=torch.float64, requires_grad=True)
    optimizer = torch.optim.LBFGS([w], max_iter=ITERATIONS, tolerance_grad=1e-6, line_search_fn="strong_wolfe")

    def closure() -> Tensor:
        optimizer.zero_grad()
        each = F.cross_entropy(x @ w[:, :-1].T + w[:, -1], y, reduction="none")
        loss = ((weight * each).sum() + penalty / 2 * (w[:, :-1] / scale).square().sum()) / len(x)
        loss.backward()
        return loss

    optimizer.step(closure)
    slope, intercept = (w[1] - w[0]).detach().split([x.shape[1], 1])
    return slope / scale, intercept


def shuffled(x: Tensor) -> Tensor:
    """Row numbers in a random order: sorted along a random direction, then shuffled."""
    order = (x * torch.randn(x.shape[1], dtype=torch.float64)).sum(1).argsort(stable=True)
    return order[torch.randperm(len(x))]
