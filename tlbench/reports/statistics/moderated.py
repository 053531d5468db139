"""Moderated t-tests of many cells with few seeds each, with the false discovery rate controlled over all of them.

The variance of each cell is shrunk towards a common prior variance by empirical Bayes. Smyth, Linear Models and Empirical
Bayes Methods for Assessing Differential Expression in Microarray Experiments, Statistical Applications in Genetics and
Molecular Biology 3, 2004. https://doi.org/10.2202/1544-6115.1027
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from scipy.special import digamma, polygamma, stdtr
from scipy.stats import false_discovery_control

from tlbench.reports.statistics.intervals import MIN_SEEDS, TOLERANCE, Array, Estimate, moments, t_quantile

FALSE_DISCOVERY_RATE = 0.05
"""The expected share of false discoveries among the cells that are marked as significant."""


BASELINE_SHARE = 1 / 4
"""The correlation of the variances of two deltas with one baseline, whose noise is half of that of each."""


class Draws(NamedTuple):
    """Which of N cells share draws: cells with equal numbers share those of method and baseline, or those of the baseline."""

    own_N: npt.NDArray[np.intp]
    baseline_N: npt.NDArray[np.intp]


class Prior(NamedTuple):
    """The prior of the cells' variances: s0^2 with df0 degrees of freedom, infinite where all cells have one variance."""

    variance: float
    df: float


class ModeratedT(NamedTuple):
    """The tests of an array of cells, NaN where there is no test.

    `mean` and `margin` are those of the moderated 95 % CI; single runs have no margin. `mark` is 1 where the cell is
    significantly better, -1 where it is significantly worse, else 0. `p` is the p-value adjusted by Benjamini and Hochberg.
    """

    mean: Array
    margin: Array
    mark: Array
    p: Array

    @property
    def estimate(self) -> Estimate:
        """The mean and the margin of error of its 95 % CI."""
        return Estimate(self.mean, self.margin)


@dataclass(frozen=True, eq=False)
class Design:
    """What a table of deltas of M entries in K cells is known to be besides its numbers.

    `cluster_K` numbers the cells that share draws alike; None: every cell has draws of its own. `single_M` marks the entries
    whose seeds are copies of one run, for which there is neither an interval nor a t-test. `sample_p_MK` are the p-values of
    tests on the scored samples of such entries, NaN where there is none. A delta up to `floor_K` is a tie.
    """

    cluster_K: npt.NDArray[np.intp] | None = None
    single_M: npt.NDArray[np.bool_] | None = None
    sample_p_MK: Array | None = None
    floor_K: Array | float = TOLERANCE


_PLAIN = Design()


def moderated_t(values_MKS: Array, direction: float = 1.0, design: Design = _PLAIN) -> ModeratedT:
    """Moderated t-tests (M, K) of paired deltas, at a false discovery rate of 5 % over all cells.

    t = mean / sqrt(v / S) with v = (df0 s0^2 + (S - 1) s^2) / (df0 + S - 1) has Student's distribution with df0 + S - 1
    degrees of freedom, capped at the pooled degrees of freedom of all cells. The p-values are adjusted by the procedure of
    Benjamini and Hochberg, Controlling the False Discovery Rate, Journal of the Royal Statistical Society B 57, 1995.
    https://doi.org/10.1111/j.2517-6161.1995.tb02031.x It is valid for cells that depend on each other positively too, as those
    that share draws do (Benjamini and Yekutieli, Annals of Statistics 29, 2001. https://doi.org/10.1214/aos/1013699998).

    The degrees of freedom are not: cells of one entry that share draws give one variance, not several. They count once in the
    cap, see `_independent_cells`, and `prior` compares variances of different draws only.

    Where the deltas of an entry do not vary although its runs do, the noise cancels, and any difference is significant. Where
    only some cells do not vary (few scored samples give equal scores by chance), their variance is shrunk towards the prior
    like that of the others.

    Args:
        values_MKS: deltas of M entries in K cells (pairs, classes or groups) over S seeds.
        direction: -1.0 where a negative delta is a gain.
        design: which cells share draws, which entries are single runs, and what is a tie.
    """
    mean, _ = moments(values_MKS)
    measured, blank = np.isfinite(mean), np.full_like(mean, np.nan)
    single = np.zeros_like(measured) if design.single_M is None else measured & design.single_M[:, None]
    margin, p = blank, blank.copy()
    if values_MKS.shape[-1] >= MIN_SEEDS:
        margin, p = _test_over_seeds(values_MKS, measured & ~single, design)
    if design.sample_p_MK is not None:
        p = np.where(single, design.sample_p_MK, p)
    tested = np.isfinite(p)
    if tested.any():
        p[tested] = false_discovery_control(p[tested])
    tie = np.abs(mean) <= design.floor_K
    mark = np.where((p <= FALSE_DISCOVERY_RATE) & ~tie, direction * np.sign(mean), 0.0)
    return ModeratedT(mean, margin, np.where(tested, mark, np.nan), p)


def _test_over_seeds(values_MKS: Array, tested: npt.NDArray[np.bool_], design: Design) -> tuple[Array, Array]:
    """The margins of error and the p-values (M, K) of the cells that are `tested`, NaN elsewhere."""
    (mean, variance), seeds = moments(values_MKS), values_MKS.shape[-1]
    margin, p = np.full_like(mean, np.nan), np.full_like(mean, np.nan)
    df = seeds - 1
    tie = np.abs(mean) <= design.floor_K
    rounding = (np.abs(values_MKS) <= np.expand_dims(design.floor_K, -1)).all(axis=-1)
    varies = tested & ~rounding & (variance > TOLERANCE**2)
    noisy = tested & varies.any(axis=1, keepdims=True)
    margin[tested] = 0.0
    p[tested] = tie[tested].astype(np.float64)
    if not noisy.any():
        return margin, p
    cluster_K = np.arange(mean.shape[1]) if design.cluster_K is None else design.cluster_K
    cluster = np.arange(len(mean))[:, None] * mean.shape[1] + cluster_K
    of_cluster = np.broadcast_to(cluster_K, mean.shape)
    draws = None if design.cluster_K is None else Draws(cluster[varies], of_cluster[varies])
    common = prior(variance[varies], df, draws)
    independent = float(varies.sum()) if design.cluster_K is None else _independent_cells(varies, cluster_K)
    total = min(common.df + df, df * independent)
    error = np.sqrt(_shrunk(variance[noisy], df, common) / seeds)
    margin[noisy] = t_quantile(np.array(total)) * error
    p[noisy] = np.where(tie[noisy], 1.0, 2 * stdtr(total, -np.abs(mean[noisy]) / error))
    return margin, p


def _independent_cells(varies: npt.NDArray[np.bool_], cluster_K: npt.NDArray[np.intp]) -> float:
    """The number of independent variances among cells (M, K) that share draws by cluster, with one baseline for all entries.

    The mean variance of m entries in one cluster is as certain as that of m / (1 + (m - 1) BASELINE_SHARE) independent ones.
    """
    entries_C = np.array([varies[:, cluster_K == cluster].any(axis=1).sum() for cluster in np.unique(cluster_K)])
    return float((entries_C / (1 + np.maximum(entries_C - 1, 0) * BASELINE_SHARE)).sum())


def prior(variance_N: Array, df: int, draws: Draws | None = None) -> Prior:
    """The prior of N positive variances (N,) with df degrees of freedom each, by the moments of their logs (section 6.2).

    Where cells share draws, the variance of the logs is half of the mean squared difference of two cells that share none of
    their own. It has the same expectation however much the cells that do depend on each other. Cells that share the baseline's
    draws alone spread less by `BASELINE_SHARE` of their noise. If all do, their few variances do not tell how much variances
    differ: the prior has no degree of freedom, and the tests are Student's.

    Args:
        variance_N: the variances.
        df: their degrees of freedom.
        draws: which of them share draws; None: all are independent.
    """
    if draws is not None and len(np.unique(draws.baseline_N)) < 2:
        return Prior(float(variance_N.mean()), 0.0)
    if len(variance_N) < 2:  # a single variance is its own prior
        return Prior(float(variance_N.mean()), 1.0)
    floored = np.maximum(variance_N, 1e-5 * np.median(variance_N))  # a nearly constant cell must not dominate the prior
    e_N = np.log(floored) - digamma(df / 2) + np.log(df / 2)
    spread, noise = (float(e_N.var(ddof=1)), 1.0) if draws is None else _variance_between(e_N, draws)
    excess = float(spread - noise * polygamma(1, df / 2))
    if excess <= 0:  # the variances spread no more than estimates of one variance do
        return Prior(float(variance_N.mean()), np.inf)
    df_over_2 = _inverse_trigamma(excess)
    return Prior(float(np.exp(e_N.mean() + digamma(df_over_2) - np.log(df_over_2))), 2 * df_over_2)


def _variance_between(e_N: Array, draws: Draws) -> tuple[float, float]:
    """Half of the mean squared difference of two values that share no draws of their own, and how much of the noise it has."""
    centered_N = e_N - e_N.mean()
    _, index_N, size_C = np.unique(draws.own_N, return_inverse=True, return_counts=True)
    _, size_B = np.unique(draws.baseline_N, return_counts=True)
    sum_C = np.bincount(index_N, weights=centered_N)
    square_C = np.bincount(index_N, weights=centered_N**2)
    within = float((size_C * square_C - sum_C**2).sum())
    between = len(e_N) * float(square_C.sum()) - float(sum_C.sum()) ** 2 - within
    same_own, same_baseline = int((size_C**2).sum()), int((size_B**2).sum())
    counted = len(e_N) ** 2 - same_own
    return between / counted, 1 - BASELINE_SHARE * (same_baseline - same_own) / counted


def _shrunk(variance: Array, df: int, common: Prior) -> Array:
    """The posterior variances: weighted means of each variance and the prior, by their degrees of freedom."""
    if np.isinf(common.df):
        return np.full_like(variance, common.variance)
    if not common.df:  # equal scores by chance must not be certain
        return np.where(variance > TOLERANCE**2, variance, common.variance)
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
