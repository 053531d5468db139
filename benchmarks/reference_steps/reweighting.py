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
    """Slope (D,) and intercept that minimise sum_i w_i CE_i + penalty / 4 |slope|^2, by Newton's method.

    There are more columns than samples, so that the unknowns are dual: slope = x' dual, and the sum of `dual` is 0.
    """
    gram, sign, ridge = x @ x.T, 2 * y - 1.0, penalty / 2
    dual, intercept = torch.zeros(len(x), dtype=torch.float64), torch.zeros((), dtype=torch.float64)

    def objective(dual: Tensor, intercept: Tensor) -> Tensor:
        fit = (weight * F.softplus(-sign * (gram @ dual + intercept))).sum()
        return fit + ridge / 2 * dual @ gram @ dual

    for _ in range(ITERATIONS):
        logits = gram @ dual + intercept
        p = logits.sigmoid()
        root = (weight * (p * (1 - p)).clamp_min(1e-10)).sqrt()  # a floor for samples far from the boundary
        factor = torch.linalg.cholesky(root[:, None] * gram * root + ridge * torch.eye(len(x), dtype=torch.float64))
        right = torch.stack([root * logits + weight * (y - p) / root, root], 1)
        of_response, of_ones = (root[:, None] * torch.cholesky_solve(right, factor)).unbind(1)
        new_intercept = of_response.sum() / of_ones.sum()
        new_dual = of_response - new_intercept * of_ones
        current, size = objective(dual, intercept), 1.0
        while size > 1e-6 and objective(torch.lerp(dual, new_dual, size), torch.lerp(intercept, new_intercept, size)) > current:
            size /= 2
        dual, intercept = torch.lerp(dual, new_dual, size), torch.lerp(intercept, new_intercept, size)
        if current - objective(dual, intercept) <= 1e-12 * current:
            break
    return x.T @ dual, intercept


def shuffled_indices(x: Tensor) -> Tensor:
    """Sample indices (N,) in random order: sorted along a random direction, then shuffled."""
    order = (x * torch.randn(x.shape[1], dtype=torch.float64)).sum(1).argsort(stable=True)
    return order[torch.randperm(len(x))]
