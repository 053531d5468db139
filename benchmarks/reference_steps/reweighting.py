"""The weights of discriminator_reweight in plain torch: out-of-fold odds of a logistic regression.

Random numbers are drawn in the order in which the method of tlbench draws them, so that both have the same folds.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

FOLDS, ITERATIONS, MAX_WEIGHT, MIN_EFFECTIVE_SHARE, PENALTY_SAMPLES = 3, 50, 10.0, 0.5, 1000


def weights(source: Tensor, target: Tensor) -> Tensor:
    """Weights (N,) of mean 1 for float64 source samples (N, D): the odds of being a target sample, tempered and capped."""
    logs = log_odds(source, target, best_penalty(source, target))[: len(source)]
    low, high = 0.0, 1.0
    if effective_share(logs) < MIN_EFFECTIVE_SHARE:  # otherwise too few samples would carry all the weight
        for _ in range(40):
            middle = (low + high) / 2
            low, high = (middle, high) if effective_share(middle * logs) >= MIN_EFFECTIVE_SHARE else (low, middle)
        logs = low * logs
    capped = (logs.softmax(0) * len(logs)).clamp_max(MAX_WEIGHT)
    return (capped / capped.mean()).float()


def effective_share(logs: Tensor) -> float:
    """Kish's effective sample size over the number of samples, for log weights (N,)."""
    return float(1 / (len(logs) * logs.softmax(0).square().sum()))


def best_penalty(source: Tensor, target: Tensor) -> float:
    """The strongest penalty whose out-of-fold loss is within one standard error of the lowest."""
    n, m = len(source), len(target)
    source, target = (x[shuffled_indices(x)[:PENALTY_SAMPLES]] for x in (source, target))
    samples = len(source) + len(target)
    variance = float(torch.cat([source, target]).var(0, correction=0).mean())
    sign = torch.cat([-torch.ones(len(source)), torch.ones(len(target))]).double()
    factors = [10.0**k for k in range(-4, 3)]
    losses = [F.softplus(-sign * log_odds(source, target, factor * samples * variance)) for factor in factors]
    best = min(losses, key=lambda loss: float(loss.mean()))
    limit = float(best.mean() + best.std(correction=0) / samples**0.5)
    return max(f for f, loss in zip(factors, losses, strict=True) if float(loss.mean()) <= limit) * (n + m) * variance


def log_odds(source: Tensor, target: Tensor, penalty: float) -> Tensor:
    """log P(target | x) / P(source | x) (N,) of all samples, out of fold; both domains have the same total weight."""
    x, n, m = torch.cat([source, target]), len(source), len(target)
    y = torch.cat([torch.zeros(n), torch.ones(m)]).long()
    balance = torch.where(y == 1, len(x) / (2 * m), len(x) / (2 * n)).double()
    order = shuffled_indices(x)
    order = order[y[order].argsort(stable=True)]
    fold = torch.empty_like(order)
    fold[order] = torch.arange(len(x)) % FOLDS
    logs = torch.empty(len(x), dtype=torch.float64)
    for k in range(FOLDS):
        training = fold != k
        slope, intercept = logistic(x[training], y[training], balance[training], penalty)
        logs[~training] = x[~training] @ slope + intercept
    return logs


def logistic(x: Tensor, y: Tensor, weight: Tensor, penalty: float) -> tuple[Tensor, Tensor]:
    """Slope (D,) and intercept of the log odds of y = 1, by L-BFGS on scaled columns."""
    scale = x.std(0).clamp_min(1e-3 * float(x.std()) + 1e-12)
    x = x / scale
    w = torch.zeros(2, x.shape[1] + 1, dtype=torch.float64, requires_grad=True)
    optimizer = torch.optim.LBFGS([w], max_iter=ITERATIONS, tolerance_grad=1e-6, line_search_fn="strong_wolfe")

    def closure() -> Tensor:
        optimizer.zero_grad()
        cross_entropy = F.cross_entropy(x @ w[:, :-1].T + w[:, -1], y, reduction="none")
        loss = ((weight * cross_entropy).sum() + penalty / 2 * (w[:, :-1] / scale).square().sum()) / len(x)
        loss.backward()
        return loss

    optimizer.step(closure)
    slope, intercept = (w[1] - w[0]).detach().split([x.shape[1], 1])
    return slope / scale, intercept


def shuffled_indices(x: Tensor) -> Tensor:
    """Sample indices (N,) in random order: sorted along a random direction, then shuffled."""
    order = (x * torch.randn(x.shape[1], dtype=torch.float64)).sum(1).argsort(stable=True)
    return order[torch.randperm(len(x))]
