"""Ties: differences of scores that are too small to be more than rounding, for each metric.

Accuracies and F1 are ratios of counts, so two runs tie exactly where their counts are equal: the smallest difference of two
means over R runs with n scored samples each is one sample's worth, 1 / (n R), and half of it is the floor. It does not matter
how many digits a record holds.

R2, RMSE and MAE come from predictions in single precision, whose spacing is 2^-23. A prediction is a sum, and rounding errors
of a sum of D terms grow like the square root of D: the `ALLOWANCE` takes D = 10,000, so that two implementations of one
predictor may differ by `ROUNDING` = 1.2e-5 of the size of a prediction. An error (RMSE, MAE) then differs by this share of
itself, and R2 = 1 - SSE / SST, a share of the variance that is quadratic in the errors, by at most twice as much.
"""

from __future__ import annotations

import numpy as np
from scipy.stats import rankdata

from tlbench.metrics import METRICS, REGRESSION_METRICS
from tlbench.reports.statistics.intervals import TOLERANCE, Array

ALLOWANCE = 100
"""The square root of the number of terms of a sum whose rounding is allowed for."""

ROUNDING = ALLOWANCE * 2.0**-23
"""The share of a prediction by which single precision may change it."""


def tie_floors(metric: str, values_MPS: Array, scored_samples: float | None = None) -> Array:
    """The difference (P,) up to which two scores of a pair tie, in the unit of the metric.

    Args:
        metric: a name in `METRICS`.
        values_MPS: the scores of M entries on P pairs with S seeds, NaN where they are missing.
        scored_samples: n, the largest number of scored samples of a run; None where no record knows it.
    """
    _, pairs, seeds = values_MPS.shape
    unit = METRICS[metric].factor
    if metric == "r2":
        return np.full(pairs, 2 * ROUNDING * unit)
    if metric in REGRESSION_METRICS:
        return np.array([ROUNDING * _median_size(values_MPS[:, pair]) for pair in range(pairs)])
    if not scored_samples:
        return np.full(pairs, TOLERANCE)
    return np.full(pairs, unit / (2 * scored_samples * max(pairs * seeds, 1)))


def _median_size(values: Array) -> float:
    measured = np.abs(values[np.isfinite(values)])
    return float(np.median(measured)) if len(measured) else 0.0


def tied(values: Array, floor: Array | float = TOLERANCE) -> Array:
    """The values (N,) or (N, P) with those that tie along N made equal: neighbours in order that differ by at most the floor.

    NaN stays. The floor may differ by column (P,).
    """
    if not len(values):
        return values
    order = np.argsort(values, axis=0, kind="stable")  # NaN last
    ordered = np.take_along_axis(values, order, axis=0)
    with np.errstate(invalid="ignore"):
        starts = np.concatenate([np.ones_like(ordered[:1], dtype=bool), ~(np.diff(ordered, axis=0) <= floor)])
    position = np.arange(len(values)).reshape(-1, *[1] * (values.ndim - 1))
    first = np.maximum.accumulate(np.where(starts, position, 0), axis=0)
    equal = np.empty_like(values)
    np.put_along_axis(equal, order, np.take_along_axis(ordered, first, axis=0), axis=0)
    return equal


def ranks(means: Array, direction: float = 1.0, floor: Array | float = TOLERANCE) -> Array:
    """The ranks of M means (M,), or in each of P columns (M, P): 1 for the best, ties sharing their average rank.

    NaN for a missing mean.

    Args:
        means: the means.
        direction: -1.0 where lower means are better.
        floor: the difference up to which two means tie, by column (P,) if they differ.
    """
    missing = np.isnan(means)
    losses = np.where(missing, np.inf, -direction * tied(means, floor))  # after all others
    return np.where(missing, np.nan, rankdata(losses, axis=0))
