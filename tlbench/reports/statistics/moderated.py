"""Moderated t-tests of many cells with few seeds each, with the false discovery rate controlled over all of them.

The variance of each cell is shrunk towards a common prior variance by empirical Bayes. Smyth, Linear Models and Empirical
Bayes Methods for Assessing Differential Expression in Microarray Experiments, Statistical Applications in Genetics and
Molecular Biology 3, 2004. https://doi.org/10.2202/1544-6115.1027
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy.special import digamma, polygamma, stdtr
from scipy.stats import false_discovery_control

from tlbench.reports.statistics.intervals import MIN_SEEDS, TOLERANCE, Array, Estimate, moments, t_quantile

FALSE_DISCOVERY_RATE = 0.05
"""The expected share of false discoveries among the cells that are marked as significant."""


class Prior(NamedTuple):
    """The prior of the cells' variances: s0^2 with df0 degrees of freedom, infinite where all cells have one variance."""

    variance: float
    df: float


class ModeratedT(NamedTuple):
    """The tests of an array of cells, NaN where there is no test.

    `mean` and `margin` are those of the moderated 95 % CI. `mark` is 1 where the cell is significantly better, -1 where it
    is significantly worse, else 0. `p` is the p-value adjusted by Benjamini and Hochberg.
    """

    mean: Array
    margin: Array
    mark: Array
    p: Array

    @property
    def estimate(self) -> Estimate:
        """The mean and the margin of error of its 95 % CI."""
        return Estimate(self.mean, self.margin)


def moderated_t(values_MKS: Array, direction: float = 1.0) -> ModeratedT:
    """Moderated t-tests (M, K) of paired deltas, at a false discovery rate of 5 % over all cells.

    t = mean / sqrt(v / S) with v = (df0 s0^2 + (S - 1) s^2) / (df0 + S - 1) has Student's distribution with df0 + S - 1
    degrees of freedom, capped at the pooled degrees of freedom of all cells. The p-values are adjusted by the procedure of
    Benjamini and Hochberg, Controlling the False Discovery Rate, Journal of the Royal Statistical Society B 57, 1995.
    https://doi.org/10.1111/j.2517-6161.1995.tb02031.x

    An entry in which no cell varies over seeds is deterministic, as is its baseline, and any difference in it is
    significant. Where only some cells do not vary (few scored samples give equal scores by chance), their variance is
    shrunk towards the prior like that of the others.

    Args:
        values_MKS: deltas of M entries in K cells (pairs, classes or groups) over S seeds.
        direction: -1.0 where a negative delta is a gain.
    """
    mean, variance = moments(values_MKS)
    seeds, blank = values_MKS.shape[-1], np.full_like(mean, np.nan)
    if seeds < MIN_SEEDS:
        return ModeratedT(mean, blank, blank, blank)
    measured, df = np.isfinite(mean), seeds - 1
    varies = measured & (variance > TOLERANCE**2)
    noisy = measured & varies.any(axis=1, keepdims=True)
    margin = np.where(measured, 0.0, np.nan)
    p = np.where(measured, (np.abs(mean) <= TOLERANCE).astype(np.float64), np.nan)
    if noisy.any():
        common = prior(variance[varies], df)
        total = min(common.df + df, float(df * varies.sum()))
        error = np.sqrt(_shrunk(variance[noisy], df, common) / seeds)
        margin[noisy] = t_quantile(np.array(total)) * error
        p[noisy] = 2 * stdtr(total, -np.abs(mean[noisy]) / error)
    if measured.any():
        p[measured] = false_discovery_control(p[measured])
    with np.errstate(invalid="ignore"):
        mark = np.where(p <= FALSE_DISCOVERY_RATE, direction * np.sign(mean), 0.0)
    return ModeratedT(mean, margin, np.where(measured, mark, np.nan), p)


def prior(variance_N: Array, df: int) -> Prior:
    """The prior of N positive variances (N,) with df degrees of freedom each, by the moments of their logs (section 6.2)."""
    if len(variance_N) < 2:  # a single variance is its own prior
        return Prior(float(variance_N.mean()), 1.0)
    floored = np.maximum(variance_N, 1e-5 * np.median(variance_N))  # a nearly constant cell must not dominate the prior
    e_N = np.log(floored) - digamma(df / 2) + np.log(df / 2)
    excess = float(e_N.var(ddof=1) - polygamma(1, df / 2))
    if excess <= 0:  # the variances spread no more than estimates of one variance do
        return Prior(float(variance_N.mean()), np.inf)
    df_over_2 = _inverse_trigamma(excess)
    return Prior(float(np.exp(e_N.mean() + digamma(df_over_2) - np.log(df_over_2))), 2 * df_over_2)


def _shrunk(variance: Array, df: int, common: Prior) -> Array:
    """The posterior variances: weighted means of each variance and the prior, by their degrees of freedom."""
    if np.isinf(common.df):
        return np.full_like(variance, common.variance)
    shrunk: Array = (common.df * common.variance + df * variance) / (common.df + df)
    return shrunk


def _inverse_trigamma(y: float) -> float:
    """The x with trigamma(x) = y > 0, by Newton's method on 1 / trigamma (the appendix of the paper)."""
    if y > 1e7:
        return float(1 / np.sqrt(y))
    if y < 1e-6:
        return 1 / y
    x = 0.5 + 1 / y
    for _ in range(50):
        trigamma = float(polygamma(1, x))
        step = trigamma * (1 - trigamma / y) / float(polygamma(2, x))
        x += step
        if -step / x < 1e-8:
            break
    return x
