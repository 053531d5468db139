"""Means and confidence intervals over seeds, pairs and domains.

Shapes: M method entries, P pairs, S seeds. NaN marks a missing value and propagates: a cell that lacks a seed has no mean,
and an entry that lacks a cell has none either.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from scipy.special import stdtrit

Array = npt.NDArray[np.float64]

CONFIDENCE = 0.95
MIN_SEEDS = 3
"""The number of seeds that an interval takes; from three seeds on simulated coverage is close to nominal."""

MIN_DOMAINS = 4
"""The number of removable domains that an interval for new domains takes."""

TOLERANCE = 1e-9
"""The rounding error of double precision in units of a metric: a difference up to this is zero whatever the metric. What counts
as a tie of scores is a larger floor for most metrics, see `ties`."""


class Estimate(NamedTuple):
    """A mean and the margin of error of its 95 % CI, which is NaN where there is no interval."""

    mean: Array
    margin: Array


def moments(values_MPS: Array) -> tuple[Array, Array]:
    """Means over seeds (M, P), and unbiased variances s^2 (M, P), which are NaN below two seeds.

    Both are computed about the first seed, so that equal values have exactly their own mean and a variance of exactly 0.
    """
    first_MP1 = values_MPS[..., :1]
    mean_MP = first_MP1[..., 0] + (values_MPS - first_MP1).mean(axis=-1)
    if values_MPS.shape[-1] < 2:
        return mean_MP, np.full_like(mean_MP, np.nan)
    return mean_MP, (values_MPS - first_MP1).var(axis=-1, ddof=1)


def over_seeds(values_MPS: Array) -> Estimate:
    """The mean of each cell (M, P) over its n seeds, with Student's 95 % CI.

    margin = t(0.975; n - 1) sqrt(s^2 / n), with the unbiased variance s^2. There is no interval below `MIN_SEEDS` seeds.
    Student, The Probable Error of a Mean, Biometrika 6, 1908. https://doi.org/10.1093/biomet/6.1.1
    """
    seeds = values_MPS.shape[-1]
    mean_MP, squared_MP = moments(values_MPS)
    if seeds < MIN_SEEDS:
        return Estimate(mean_MP, np.full_like(mean_MP, np.nan))
    return Estimate(mean_MP, t_quantile(np.array(seeds - 1.0)) * np.sqrt(squared_MP / seeds))


def over_pairs(values_MPS: Array) -> Estimate:
    """The mean of each entry (M,) over its P pairs, with the 95 % CI for other seeds on these pairs.

    mean = sum_p m_p / P and variance = sum_p v_p / P^2 with v_p = s_p^2 / n_p; Student's t has the degrees of freedom
    df = (sum_p v_p)^2 / sum_p (v_p^2 / (n_p - 1)), so pairs may differ in variance. The margin is 0 where no value varies.
    There is no interval below `MIN_SEEDS` seeds. For paired differences the result is an interval of the delta.

    Satterthwaite, An Approximate Distribution of Estimates of Variance Components, Biometrics Bulletin 2, 1946.
    https://doi.org/10.2307/3002019
    Welch, The Generalization of 'Student's' Problem when Several Different Population Variances are Involved, Biometrika 34,
    1947. https://doi.org/10.1093/biomet/34.1-2.28
    """
    _, pairs, seeds = values_MPS.shape
    mean_MP, squared_MP = moments(values_MPS)
    mean_M = mean_MP.mean(axis=1)
    if seeds < MIN_SEEDS:
        return Estimate(mean_M, np.full_like(mean_M, np.nan))
    return Estimate(mean_M, satterthwaite_margin(squared_MP / seeds, np.array(seeds - 1.0)) / pairs)


def satterthwaite_margin(v_MK: Array, df_MK: Array) -> Array:
    """The margin of error (M,) of a sum of K independent means with the variances v (M, K), each with df degrees of freedom."""
    total_M = v_MK.sum(axis=-1)
    largest_M1 = v_MK.max(axis=-1, keepdims=True)
    share_MK = v_MK / np.where(largest_M1 == 0, 1.0, largest_M1)  # the squares of small variances would underflow
    squares_M = (share_MK**2 / df_MK).sum(axis=-1)
    df_M = np.where(total_M == 0, 1.0, share_MK.sum(axis=-1) ** 2 / np.where(squares_M == 0, 1.0, squares_M))
    margin_M: Array = t_quantile(df_M) * np.sqrt(total_M)
    return margin_M


def new_domains(values_MPS: Array, domains: Sequence[tuple[str, ...]]) -> Estimate:
    """The mean of each entry (M,) over its pairs, with the 95 % CI for other domains of this kind.

    The interval is a delete-one-domain jackknife, because pairs that share a domain are not independent: with D domains, t
    the mean over all pairs and t_d the mean over the pairs without domain d, the pseudo-values D t - (D - 1) t_d have the
    variance s^2, and margin = t(0.975; D - 1) sqrt(s^2 / D). Variance of single pairs, beyond the effects of their domains,
    enters s^2 / D more than once (two to three times in a full grid of pairs). Its excess is estimated from the residuals of
    a model with source and target effects and subtracted, up to half of the variance.

    A domain that all pairs have in common is conditioned on and never left out. There is no interval with fewer than
    `MIN_DOMAINS` removable domains, nor where more than half of the pairs contain one of them.

    Tukey, Bias and Confidence in Not-Quite Large Samples (abstract), Annals of Mathematical Statistics 29, 1958, p. 614.
    Arvesen, Jackknifing U-Statistics, Annals of Mathematical Statistics 40, 1969. https://doi.org/10.1214/aoms/1177697287
    Efron and Stein, The Jackknife Estimate of Variance, Annals of Statistics 9, 1981. https://doi.org/10.1214/aos/1176345462

    Args:
        values_MPS: scores or paired deltas.
        domains: the sources of each of the P pairs, and then its target.
    """
    mean_MP, _ = moments(values_MPS)
    mean_M = mean_MP.mean(axis=1)
    contains_DP = removable_domains(domains)
    count, pairs = len(contains_DP), len(domains)
    if count < MIN_DOMAINS or (contains_DP.mean(axis=1) > 0.5).any():
        return Estimate(mean_M, np.full_like(mean_M, np.nan))
    without_DP = ~contains_DP
    # the pseudo-values are these weights times the means of pairs
    weight_DP = count / pairs - (count - 1) * without_DP / without_DP.sum(axis=1, keepdims=True)
    centered_DP = weight_DP - weight_DP.mean(axis=0)
    variance_M = ((mean_MP @ centered_DP.T) ** 2).sum(axis=1) / (count * (count - 1))
    excess_factor = (centered_DP**2).sum() / (count * (count - 1)) - 1 / pairs
    corrected_M = np.maximum(variance_M - _residual_variance(mean_MP, domains) * excess_factor, variance_M / 2)
    return Estimate(mean_M, t_quantile(np.array(count - 1.0)) * np.sqrt(corrected_M))


def removable_domains(domains: Sequence[tuple[str, ...]]) -> npt.NDArray[np.bool_]:
    """Whether each of P pairs contains each of the D domains that the jackknife may leave out: (D, P).

    A domain that all pairs contain can't be left out.
    """
    names = sorted({name for pair in domains for name in pair})
    contains_DP = np.array([[name in pair for pair in domains] for name in names], dtype=bool)
    contains_DP = contains_DP.reshape(len(names), len(domains))
    return contains_DP[~contains_DP.all(axis=1)]


def _residual_variance(mean_MP: Array, domains: Sequence[tuple[str, ...]]) -> Array:
    """The residual variance (M,) of the means of pairs in a linear model of source and target effects.

    It is 0 where the model leaves no degree of freedom.
    """
    sources = sorted({name for pair in domains for name in pair[:-1]})
    targets = sorted({pair[-1] for pair in domains})
    effects_PE = np.array(
        [[*(n in p[:-1] for n in sources), *(n == p[-1] for n in targets)] for p in domains], dtype=np.float64
    )
    residual_PP = np.eye(len(domains)) - effects_PE @ np.linalg.pinv(effects_PE)
    df = round(float(np.trace(residual_PP)))
    if not df:
        return np.zeros(len(mean_MP))
    return np.asarray(((mean_MP @ residual_PP) ** 2).sum(axis=1) / df)


def interquartile_mean(values_MPS: Array) -> Array:
    """The interquartile mean of each entry (M,) over its runs of all pairs and seeds; NaN where a run is missing.

    A quarter of the runs, rounded down, is trimmed at each end. Agarwal et al., Deep Reinforcement Learning at the Edge of the
    Statistical Precipice, NeurIPS 2021. https://arxiv.org/abs/2108.13264
    """
    runs_MN = np.sort(values_MPS.reshape(len(values_MPS), -1), axis=1)
    cut = runs_MN.shape[1] // 4
    middle_M = runs_MN[:, cut : runs_MN.shape[1] - cut].mean(axis=1)
    return np.where(np.isnan(runs_MN).any(axis=1), np.nan, middle_M)


def probability_of_improvement(values_MPS: Array, base_PS: Array, floor_P: Array | float = TOLERANCE) -> Array:
    """The probability (M,) that a run of an entry scores above a run of the baseline on the same pair, averaged over pairs.

    For each pair it is the Mann-Whitney U statistic divided by S^2: the share of the S x S pairs of runs in which the entry
    scores higher, with ties counted as one half. Agarwal et al., NeurIPS 2021, section 4.3.
    https://arxiv.org/abs/2108.13264

    Args:
        values_MPS: the scores of the entries; higher is better.
        base_PS: the scores of the baseline.
        floor_P: the difference up to which two scores tie.
    """
    seeds = base_PS.shape[-1]
    wins_M = np.zeros(len(values_MPS))
    floors = np.broadcast_to(floor_P, len(base_PS))
    for values_MS, base_S, floor in zip(values_MPS.transpose(1, 0, 2), base_PS, floors, strict=True):
        ordered_S = np.sort(base_S)
        below = np.searchsorted(ordered_S, values_MS - floor, side="left")
        not_above = np.searchsorted(ordered_S, values_MS + floor, side="right")
        wins_M += (below + not_above).sum(axis=1) / 2 / seeds**2
    missing_M = np.isnan(values_MPS).any(axis=(1, 2)) | np.isnan(base_PS).any()
    return np.where(missing_M, np.nan, wins_M / len(base_PS))


def t_quantile(df: Array) -> Array:
    """The 97.5 % quantile of Student's t with df degrees of freedom (any shape), the factor of a two-sided 95 % CI."""
    return np.asarray(stdtrit(df, 0.5 + CONFIDENCE / 2), dtype=np.float64)


def verdicts(delta: Estimate, direction: float = 1.0, floor: Array | float = TOLERANCE) -> Array:
    """1 (better) where the whole 95 % CI is a gain, -1 (worse) where it is a loss, 0 (n.s.) where it contains zero.

    NaN where there is no interval. `direction` is -1.0 where a negative delta is a gain; a delta up to the floor is a tie.
    """
    with np.errstate(invalid="ignore"):
        above, below = delta.mean - delta.margin > floor, delta.mean + delta.margin < -floor
    return np.where(np.isnan(delta.mean + delta.margin), np.nan, direction * (1.0 * above - 1.0 * below))


def smallest_sign_test_p(blocks: int) -> float:
    """The smallest two-sided p-value that a sign test over so many pairs or seeds can reach: 2 / 2^blocks."""
    return min(1.0, 2.0 ** (1 - blocks))
