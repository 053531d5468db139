"""Moderated t: many cells with few seeds each lend each other their variance; and the marks that follow from it.

Smyth, Linear Models and Empirical Bayes Methods for Assessing Differential Expression in Microarray Experiments,
Statistical Applications in Genetics and Molecular Biology 3, 2004. Equation numbers are those of the paper.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy.special import digamma, polygamma, stdtr
from scipy.stats import false_discovery_control

from tlbench.reports.statistics.intervals import NOISE, SEEDS_NEEDED, Array, Estimate, moments, quantile

FALSE_DISCOVERY_RATE = 0.05
"""The share of wrong ones that is put up with, on average, among the cells marked as helping or hurting."""


class Prior(NamedTuple):
    """What the cells of a table have in common: variance s0^2, worth df0 degrees of freedom (infinite: all are alike)."""

    variance: float
    df: float


class Marks(NamedTuple):
    """What is said of cells: mean, half-width of its moderated interval, mark (1 helps, -1 hurts, 0 undecided), adjusted p.

    NaN where there is none.
    """

    mean: Array
    half: Array
    mark: Array
    p: Array

    @property
    def estimate(self) -> Estimate:
        """Mean and interval."""
        return Estimate(self.mean, self.half)


def marks(values_RKS: Array, better: float = 1.0) -> Marks:
    """Deltas of R rows in K cells with S paired seeds -> marks (R, K), at a false discovery rate of 5 % over all of them.

    t = mean / sqrt(v / S) with v = (df0 s0^2 + (S - 1) s^2) / (df0 + S - 1), Student's with df0 + S - 1 degrees of freedom
    but no more than all cells have together; then Benjamini and Hochberg, Journal of the Royal Statistical Society B 57,
    1995. A row in which no cell varies at all is deterministic, as is its baseline: any difference in it is certain. Where
    only some cells do not vary (few scored rows give equal scores by chance), they take the common variance like others.
    """
    mean, variance = moments(values_RKS)
    seeds, blank = values_RKS.shape[-1], np.full_like(mean, np.nan)
    if seeds < SEEDS_NEEDED:
        return Marks(mean, blank, blank, blank)
    there, df = np.isfinite(mean), seeds - 1
    varies = there & (variance > NOISE**2)
    noisy = there & varies.any(axis=1, keepdims=True)
    half = np.where(there, 0.0, np.nan)
    p = np.where(there, (np.abs(mean) <= NOISE).astype(np.float64), np.nan)
    if noisy.any():
        common = prior(variance[varies], df)
        total = min(common.df + df, float(df * varies.sum()))
        error = np.sqrt(_shrunk(variance[noisy], df, common) / seeds)
        half[noisy] = quantile(np.array(total)) * error
        p[noisy] = 2 * stdtr(total, -np.abs(mean[noisy]) / error)
    if there.any():
        p[there] = false_discovery_control(p[there])
    with np.errstate(invalid="ignore"):
        mark = np.where(p <= FALSE_DISCOVERY_RATE, better * np.sign(mean), 0.0)
    return Marks(mean, half, np.where(there, mark, np.nan), p)


def prior(variance_N: Array, df: int) -> Prior:
    """Prior of N positive variances with df degrees of freedom each, from mean and variance of their logs (section 6.2)."""
    if len(variance_N) < 2:  # nothing to compare with: the one variance there is stands for all
        return Prior(float(variance_N.mean()), 1.0)
    floored = np.maximum(variance_N, 1e-5 * np.median(variance_N))  # one nearly silent cell must not set the prior alone
    e_N = np.log(floored) - digamma(df / 2) + np.log(df / 2)
    excess = float(e_N.var(ddof=1) - polygamma(1, df / 2))
    if excess <= 0:  # no more spread than chance gives to equal variances
        return Prior(float(variance_N.mean()), np.inf)
    half = _inverse_trigamma(excess)
    return Prior(float(np.exp(e_N.mean() + digamma(half) - np.log(half))), 2 * half)


def _shrunk(variance: Array, df: int, common: Prior) -> Array:
    if np.isinf(common.df):
        return np.full_like(variance, common.variance)
    shrunk: Array = (common.df * common.variance + df * variance) / (common.df + df)
    return shrunk


def _inverse_trigamma(y: float) -> float:
    """x with trigamma(x) = y > 0, by Newton's steps on 1 / trigamma (the paper's appendix)."""
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
