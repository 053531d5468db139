"""How many labels a result is worth: the label budget at which a rising curve reaches it, with an interval.

Shapes: L label budgets, S seeds.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy.optimize import isotonic_regression

from tlbench.reports.statistics.intervals import MIN_SEEDS, Array, t_quantile


class BreakEven(NamedTuple):
    """Labels at which the curve reaches a result, and the ends of the 95 % CI.

    0 stands for fewer than the smallest budget, infinity for more than the largest one, and NaN for no interval.
    """

    labels: float
    low: float
    high: float


def break_even(result_LS: Array, curve_LS: Array, labels_L: Array) -> BreakEven:
    """The number of labels at which a curve reaches a result, by inversion of paired t-tests.

    The difference result - curve of each seed is that of runs which share their draw of labels and of scored samples, so that
    neither is counted as noise. Its mean over seeds, as a curve that never rises with more labels, crosses 0 at the break-even.
    The 95 % CI holds the budgets at which a difference of 0 is not rejected. The logarithm of its variance is smoothed to a
    line of log labels, and Student's t has L (S - 1) - 2 degrees of freedom. Between budgets curves are straight in log labels.

    With three seeds, the crossing of a bootstrap has far less than its nominal coverage, and plain t-tests have more.

    Args:
        result_LS: the result beside each budget; the same in each column where it does not depend on the budget.
        curve_LS: the curve, higher is better.
        labels_L: the budgets, rising and above 0.
    """
    difference_LS = result_LS - curve_LS
    budgets, seeds = difference_LS.shape
    mean_L = difference_LS.mean(axis=1)
    log_labels_L = np.log(labels_L)
    estimate = _crossing(mean_L, log_labels_L)
    if seeds < MIN_SEEDS or budgets < 2:
        return BreakEven(estimate, np.nan, np.nan)
    variance_L = difference_LS.var(axis=1, ddof=1)
    if (variance_L > 0).all() and budgets > 2:
        variance_L = np.exp(np.polyval(np.polyfit(log_labels_L, np.log(variance_L), 1), log_labels_L))
        df = budgets * (seeds - 1) - 2
    else:  # a seed without noise has no logarithm
        variance_L, df = np.full(budgets, variance_L.mean()), budgets * (seeds - 1)
    margin_L = t_quantile(np.array(float(df))) * np.sqrt(variance_L / seeds)
    return BreakEven(estimate, _crossing(mean_L - margin_L, log_labels_L), _crossing(mean_L + margin_L, log_labels_L))


def _crossing(difference_L: Array, log_labels_L: Array) -> float:
    """Where a curve that never rises crosses 0; 0 below the first budget, infinity above the last."""
    falling_L = np.asarray(isotonic_regression(difference_L, increasing=False).x)
    if falling_L[0] < 0:
        return 0.0
    if falling_L[-1] > 0:
        return float("inf")
    after = int(np.argmax(falling_L <= 0))
    if after == 0:
        return float(np.exp(log_labels_L[0]))
    before_value, after_value = falling_L[after - 1], falling_L[after]
    share = before_value / (before_value - after_value)
    return float(np.exp(log_labels_L[after - 1] + share * (log_labels_L[after] - log_labels_L[after - 1])))
