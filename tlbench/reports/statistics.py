"""The statistics of the tables. Shapes: R rows (methods), P pairs, S seeds; NaN marks a value that is not there.

A NaN spreads: a cell without all its seeds has no mean, and a row without all its cells has none either.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.special import stdtrit

Array = npt.NDArray[np.float64]

CONFIDENCE = 0.95
SEEDS_NEEDED = 3
"""With fewer seeds no interval is given: simulated coverage is near the nominal one from three on."""

NOISE = 1e-9
"""Per-cent points below which a difference is rounding of floats, not a finding."""


class Estimate(NamedTuple):
    """A mean and the half-width of its interval (NaN: no interval)."""

    mean: Array
    half: Array


def _moments(values_RPS: Array) -> tuple[Array, Array]:
    """Mean (R, P) over seeds, and v = s^2 / n (R, P), the variance of that mean (NaN below two seeds).

    Both are taken about the first seed, so that equal values have exactly their own mean and exactly no variance.
    """
    seeds = values_RPS.shape[-1]
    first_RP1 = values_RPS[..., :1]
    mean_RP = first_RP1[..., 0] + (values_RPS - first_RP1).mean(axis=-1)
    if seeds < 2:
        return mean_RP, np.full_like(mean_RP, np.nan)
    return mean_RP, (values_RPS - first_RP1).var(axis=-1, ddof=1) / seeds


def over_seeds(values_RPS: Array) -> Estimate:
    """Each cell (R, P): mean over its n seeds, and Student's interval.

    half = t(0.975; n - 1) * sqrt(s^2 / n), s^2 with n - 1 in the denominator. Student, Biometrika 6, 1908.
    No interval below `SEEDS_NEEDED` seeds.
    """
    seeds = values_RPS.shape[-1]
    mean_RP, v_RP = _moments(values_RPS)
    if seeds < SEEDS_NEEDED:
        return Estimate(mean_RP, np.full_like(mean_RP, np.nan))
    return Estimate(mean_RP, quantile(np.array(seeds - 1.0)) * np.sqrt(v_RP))


def these_pairs(values_RPS: Array) -> Estimate:
    """Each row (R): mean over its P pairs, and the interval for "these pairs, other seeds".

    mean = sum_p m_p / P, variance = sum_p v_p / P^2 with v_p = s_p^2 / n_p, and Student's t with the degrees of freedom
    df = (sum_p v_p)^2 / sum_p (v_p^2 / (n_p - 1)); pairs may differ in variance. Where no value varies at all the
    half-width is 0. Satterthwaite, Biometrics Bulletin 2, 1946; Welch, Biometrika 34, 1947.
    No interval below `SEEDS_NEEDED` seeds. Paired differences go in as values, then it is an interval of the delta.
    """
    _, pairs, seeds = values_RPS.shape
    mean_RP, v_RP = _moments(values_RPS)
    mean_R = mean_RP.mean(axis=1)
    if seeds < SEEDS_NEEDED:
        return Estimate(mean_R, np.full_like(mean_R, np.nan))
    total_R = v_RP.sum(axis=1)
    largest_R1 = v_RP.max(axis=1, keepdims=True)
    share_RP = v_RP / np.where(largest_R1 == 0, 1.0, largest_R1)  # else squares of small variances underflow
    squares_R = (share_RP**2 / (seeds - 1)).sum(axis=1)
    df_R = np.where(total_R == 0, 1.0, share_RP.sum(axis=1) ** 2 / np.where(squares_R == 0, 1.0, squares_R))
    return Estimate(mean_R, quantile(df_R) * np.sqrt(total_R) / pairs)


def quantile(df: Array) -> Array:
    """The two-sided 95 % quantile of Student's t with df degrees of freedom, of any shape."""
    return np.asarray(stdtrit(df, 0.5 + CONFIDENCE / 2), dtype=np.float64)


def ranks(mean_R: Array) -> Array:
    """Rank 1 for the highest mean; equal ones share the average of their ranks; no mean, no rank."""
    rank = pd.Series(mean_R.round(9)).rank(ascending=False, method="average")
    return np.asarray(rank, dtype=np.float64)


def verdicts(delta: Estimate) -> Array:
    """1 (helps) where the interval lies above zero, -1 (hurts) below, else 0 (undecided); NaN without interval."""
    with np.errstate(invalid="ignore"):
        helps, hurts = delta.mean - delta.half > NOISE, delta.mean + delta.half < -NOISE
    return np.where(np.isnan(delta.mean + delta.half), np.nan, 1.0 * helps - 1.0 * hurts)
