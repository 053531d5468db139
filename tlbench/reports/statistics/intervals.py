"""The statistics of the tables. Shapes: R rows (methods), P pairs, S seeds; NaN marks a value that is not there.

A NaN spreads: a cell without all its seeds has no mean, and a row without all its cells has none either.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.special import stdtrit

Array = npt.NDArray[np.float64]

CONFIDENCE = 0.95
SEEDS_NEEDED = 3
"""With fewer seeds no interval is given: simulated coverage is near the nominal one from three on."""

DOMAINS_NEEDED = 4
"""With fewer domains that can be left out nothing is said of new ones."""

NOISE = 1e-9
"""Per-cent points below which a difference is rounding of floats, not a finding."""


class Estimate(NamedTuple):
    """A mean and the half-width of its interval (NaN: no interval)."""

    mean: Array
    half: Array


def moments(values_RPS: Array) -> tuple[Array, Array]:
    """Mean (R, P) over seeds, and s^2 (R, P), their variance with n - 1 in the denominator (NaN below two seeds).

    Both are taken about the first seed, so that equal values have exactly their own mean and exactly no variance.
    """
    first_RP1 = values_RPS[..., :1]
    mean_RP = first_RP1[..., 0] + (values_RPS - first_RP1).mean(axis=-1)
    if values_RPS.shape[-1] < 2:
        return mean_RP, np.full_like(mean_RP, np.nan)
    return mean_RP, (values_RPS - first_RP1).var(axis=-1, ddof=1)


def over_seeds(values_RPS: Array) -> Estimate:
    """Each cell (R, P): mean over its n seeds, and Student's interval.

    half = t(0.975; n - 1) * sqrt(s^2 / n), s^2 with n - 1 in the denominator. Student, Biometrika 6, 1908.
    No interval below `SEEDS_NEEDED` seeds.
    """
    seeds = values_RPS.shape[-1]
    mean_RP, squared_RP = moments(values_RPS)
    if seeds < SEEDS_NEEDED:
        return Estimate(mean_RP, np.full_like(mean_RP, np.nan))
    return Estimate(mean_RP, quantile(np.array(seeds - 1.0)) * np.sqrt(squared_RP / seeds))


def these_pairs(values_RPS: Array) -> Estimate:
    """Each row (R): mean over its P pairs, and the interval for "these pairs, other seeds".

    mean = sum_p m_p / P, variance = sum_p v_p / P^2 with v_p = s_p^2 / n_p, and Student's t with the degrees of freedom
    df = (sum_p v_p)^2 / sum_p (v_p^2 / (n_p - 1)); pairs may differ in variance. Where no value varies at all the
    half-width is 0. Satterthwaite, Biometrics Bulletin 2, 1946; Welch, Biometrika 34, 1947.
    No interval below `SEEDS_NEEDED` seeds. Paired differences go in as values, then it is an interval of the delta.
    """
    _, pairs, seeds = values_RPS.shape
    mean_RP, squared_RP = moments(values_RPS)
    mean_R = mean_RP.mean(axis=1)
    if seeds < SEEDS_NEEDED:
        return Estimate(mean_R, np.full_like(mean_R, np.nan))
    return Estimate(mean_R, satterthwaite(squared_RP / seeds, np.array(seeds - 1.0)) / pairs)


def satterthwaite(v_RK: Array, df_RK: Array) -> Array:
    """Half of the 95 % interval (R,) of a sum of K independent means with variances v, estimated with df degrees of freedom."""
    total_R = v_RK.sum(axis=-1)
    largest_R1 = v_RK.max(axis=-1, keepdims=True)
    share_RK = v_RK / np.where(largest_R1 == 0, 1.0, largest_R1)  # else squares of small variances underflow
    squares_R = (share_RK**2 / df_RK).sum(axis=-1)
    df_R = np.where(total_R == 0, 1.0, share_RK.sum(axis=-1) ** 2 / np.where(squares_R == 0, 1.0, squares_R))
    half_R: Array = quantile(df_R) * np.sqrt(total_R)
    return half_R


def new_domains(values_RPS: Array, domains: Sequence[tuple[str, ...]]) -> Estimate:
    """Each row (R): mean over its pairs, and the interval for "other domains of this kind": delete-one-domain jackknife.

    `domains` are the sources of each pair, then its target. Pairs that share a domain are not independent, so whole domains
    are left out: with D domains, t the mean over all pairs and t_d that over the pairs without domain d, the pseudo-values
    D t - (D - 1) t_d have the variance s^2, and half = t(0.975; D - 1) * sqrt(s^2 / D). What is a pair's own, and no domain's,
    enters s^2 / D more than once, two to three times where all pairs are there (Efron and Stein, Annals of Statistics 9,
    1981); the excess is taken off, its size from the residuals of source and target effects, but never more than half.

    A domain that stands in every pair is part of the question and not left out. No interval below `DOMAINS_NEEDED` domains
    to leave out, nor where more than half of the pairs hang on one of them. Tukey, Annals of Mathematical Statistics 29,
    1958, p. 614; Arvesen, the same 40, 1969, for means over pairs.
    """
    mean_RP, _ = moments(values_RPS)
    mean_R = mean_RP.mean(axis=1)
    left_out_DP = deletable(domains)
    count, pairs = len(left_out_DP), len(domains)
    if count < DOMAINS_NEEDED or (left_out_DP.mean(axis=1) > 0.5).any():
        return Estimate(mean_R, np.full_like(mean_R, np.nan))
    kept_DP = ~left_out_DP
    pseudo_DP = count / pairs - (count - 1) * kept_DP / kept_DP.sum(axis=1, keepdims=True)  # times means: the pseudo-values
    off_DP = pseudo_DP - pseudo_DP.mean(axis=0)
    variance_R = ((mean_RP @ off_DP.T) ** 2).sum(axis=1) / (count * (count - 1))
    counted_too_often = (off_DP**2).sum() / (count * (count - 1)) - 1 / pairs
    corrected_R = np.maximum(variance_R - _of_pairs_alone(mean_RP, domains) * counted_too_often, variance_R / 2)
    return Estimate(mean_R, quantile(np.array(count - 1.0)) * np.sqrt(corrected_R))


def deletable(domains: Sequence[tuple[str, ...]]) -> npt.NDArray[np.bool_]:
    """Which pairs (D, P) hold each domain that some but not all pairs hold."""
    names = sorted({name for pair in domains for name in pair})
    held_DP = np.array([[name in pair for pair in domains] for name in names], dtype=bool).reshape(len(names), len(domains))
    return held_DP[~held_DP.all(axis=1)]


def _of_pairs_alone(mean_RP: Array, domains: Sequence[tuple[str, ...]]) -> Array:
    """Variance (R,) of the means of pairs about effects of their sources and their target; 0 where those leave nothing."""
    sources = sorted({name for pair in domains for name in pair[:-1]})
    targets = sorted({pair[-1] for pair in domains})
    effects_PE = np.array(
        [[*(n in p[:-1] for n in sources), *(n == p[-1] for n in targets)] for p in domains], dtype=np.float64
    )
    residual_PP = np.eye(len(domains)) - effects_PE @ np.linalg.pinv(effects_PE)
    df = round(float(np.trace(residual_PP)))
    if not df:
        return np.zeros(len(mean_RP))
    return np.asarray(((mean_RP @ residual_PP) ** 2).sum(axis=1) / df)


def interquartile_mean(values_RPS: Array) -> Array:
    """Each row (R): mean of the middle half of its runs over all pairs and seeds; NaN where one is missing.

    A quarter of the runs, rounded down, is left out at each end. Agarwal et al., Deep Reinforcement Learning at the Edge
    of the Statistical Precipice, NeurIPS 2021. https://arxiv.org/abs/2108.13264
    """
    runs_RN = np.sort(values_RPS.reshape(len(values_RPS), -1), axis=1)
    cut = runs_RN.shape[1] // 4
    middle_R = runs_RN[:, cut : runs_RN.shape[1] - cut].mean(axis=1)
    return np.where(np.isnan(runs_RN).any(axis=1), np.nan, middle_R)


def probability_of_improvement(values_RPS: Array, base_PS: Array) -> Array:
    """Each row (R): chance that a run of it beats a run of the baseline on the same pair, the mean over pairs.

    For each pair the share of all S x S couples of runs with the higher value on the row's side, ties for one half
    (Mann-Whitney's U over S^2). Agarwal et al., NeurIPS 2021 (above), section 4.3.
    """
    seeds = base_PS.shape[-1]
    wins_R = np.zeros(len(values_RPS))
    for values_RS, base_S in zip(values_RPS.transpose(1, 0, 2), base_PS, strict=True):
        ordered_S = np.sort(base_S)
        below = np.searchsorted(ordered_S, values_RS - NOISE, side="right")
        not_above = np.searchsorted(ordered_S, values_RS + NOISE, side="left")
        wins_R += (below + not_above).sum(axis=1) / 2 / seeds**2
    missing_R = np.isnan(values_RPS).any(axis=(1, 2)) | np.isnan(base_PS).any()
    return np.where(missing_R, np.nan, wins_R / len(base_PS))


def quantile(df: Array) -> Array:
    """The two-sided 95 % quantile of Student's t with df degrees of freedom, of any shape."""
    return np.asarray(stdtrit(df, 0.5 + CONFIDENCE / 2), dtype=np.float64)


def ranks(mean_R: Array, better: float = 1.0) -> Array:
    """Rank 1 for the best mean; equal ones share the average of their ranks; no mean, no rank. `better` -1: low is good."""
    rank = pd.Series((better * mean_R).round(9)).rank(ascending=False, method="average")
    return np.asarray(rank, dtype=np.float64)


def verdicts(delta: Estimate, better: float = 1.0) -> Array:
    """1 (helps) where the whole interval is a gain, -1 (hurts) where it is a loss, else 0 (undecided); NaN without one."""
    with np.errstate(invalid="ignore"):
        above, below = delta.mean - delta.half > NOISE, delta.mean + delta.half < -NOISE
    return np.where(np.isnan(delta.mean + delta.half), np.nan, better * (1.0 * above - 1.0 * below))


def sign_test_floor(blocks: int) -> float:
    """The least two-sided p that a sign test over so many pairs or seeds can reach: 2 / 2^blocks."""
    return min(1.0, 2.0 ** (1 - blocks))
