"""Average ranks of method entries over pairs, and the groups of entries that they can't tell apart.

Demsar, Statistical Comparisons of Classifiers over Multiple Data Sets, Journal of Machine Learning Research 7, 2006, with
pairs in the role of data sets. https://www.jmlr.org/papers/v7/demsar06a.html
SciPy has the distributions of both tests; scikit-posthocs would add statsmodels and seaborn for one formula.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
import pandas as pd
from scipy.special import gammaln
from scipy.stats import f as f_distribution
from scipy.stats import studentized_range

from tlbench.reports.score_cube import ScoreCube, has_all_pairs, score_cube
from tlbench.reports.statistics import intervals
from tlbench.reports.statistics.intervals import Array
from tlbench.reports.statistics.ties import ranks


@dataclass(frozen=True, eq=False)
class Ranking:
    """The entries that have a mean for every pair, by their average rank, best first.

    `groups` are the maximal groups of neighbours whose average ranks differ by less than `critical_difference`; groups of
    one are left out. `p` is the p-value of Friedman's test, and `pairs` the number of pairs that are really
    different.
    """

    entries: tuple[str, ...]
    average_rank: Array
    critical_difference: float
    groups: tuple[tuple[str, ...], ...]
    p: float
    pairs: int

    @property
    def can_decide(self) -> bool:
        """Whether a difference can reach the critical one at all; average ranks of k entries differ by at most k - 1."""
        return self.critical_difference < len(self.entries) - 1


def ranking(frame: pd.DataFrame) -> Ranking | None:
    """The ranking of the frame of one suite; None with fewer than two complete entries or two pairs."""
    return rank_entries(score_cube(frame))


def rank_entries(scores: ScoreCube) -> Ranking | None:
    """The ranking of the entries by their means over seeds within each pair, ties sharing their average rank.

    The pairs are those that are really different, see `ScoreCube.distinct`: copies of one pair would agree by themselves, and
    both tests would take that for evidence. None with fewer than two complete entries or two such pairs.
    """
    scores = scores.distinct()
    mean_MP = intervals.over_seeds(scores.values).mean
    complete_M = has_all_pairs(mean_MP)
    count, pairs = int(complete_M.sum()), len(scores.pairs)
    if count < 2 or pairs < 2:
        return None
    rank_MP = ranks(mean_MP[complete_M], scores.direction, scores.floor_P)
    return _ranking([str(name) for name in scores.entries[complete_M]], rank_MP)


def rank_means(entries: Sequence[str], gains_MP: Array) -> Ranking:
    """The ranking of entries by their gains on each of P data sets, which are taken for different ones; more is better."""
    return _ranking(entries, ranks(gains_MP))


def _ranking(entries: Sequence[str], rank_MP: Array) -> Ranking:
    """The ranking of entries from their ranks within each of P pairs."""
    average_M = rank_MP.mean(axis=1)
    order = np.argsort(average_M, kind="stable")
    names = tuple(entries[at] for at in order)
    difference = critical_difference(len(entries), rank_MP.shape[1])
    groups = _groups(names, average_M[order], difference)
    return Ranking(names, average_M[order], difference, groups, friedman_p(rank_MP), rank_MP.shape[1])


def friedman_p(rank_MP: Array) -> float:
    """The p-value of Friedman's test that all entries perform alike, from their ranks within each pair.

    It is that of the F statistic of Iman and Davenport, Approximations of the Critical Region of the Friedman Statistic,
    Communications in Statistics 9, 1980, with the ties taken into account. https://doi.org/10.1080/03610928008827904
    Its degrees of freedom are those of Kendall and Babington Smith, The Problem of m Rankings, Annals of Mathematical
    Statistics 10, 1939, which hold the level for few pairs too. https://doi.org/10.1214/aoms/1177732186
    p is at least the probability that all pairs agree by chance.
    """
    entries, pairs = rank_MP.shape
    between = pairs * ((rank_MP.mean(axis=1) - (entries + 1) / 2) ** 2).sum()
    total = ((rank_MP - (entries + 1) / 2) ** 2).sum()
    if total == 0:  # all entries are tied in each pair
        return 1.0
    ties = np.unique(rank_MP[:, 0], return_counts=True)[1]
    agreement = float(np.exp((pairs - 1) * (gammaln(ties + 1).sum() - gammaln(entries + 1))))
    if total - between <= 1e-12:  # all pairs agree
        return agreement
    statistic, df = (pairs - 1) * between / (total - between), entries - 1 - 2 / pairs
    if df <= 0:  # two pairs that disagree on two entries
        return 1.0
    return float(max(f_distribution.sf(statistic, df, (pairs - 1) * df), agreement))


@cache
def critical_difference(entries: int, pairs: int) -> float:
    """Nemenyi's critical difference of average ranks at the level 0.05.

    CD = q(0.95; k) / sqrt(2) * sqrt(k (k + 1) / (6 P)) for k entries and P pairs, with q of the studentised range.
    """
    q = studentized_range.ppf(intervals.CONFIDENCE, entries, np.inf)
    return float(q * np.sqrt(entries * (entries + 1) / (12 * pairs)))


def _groups(names: tuple[str, ...], rank_M: Array, difference: float) -> tuple[tuple[str, ...], ...]:
    """The maximal groups of neighbours whose ranks, in ascending order, differ by less than `difference`."""
    ends = np.searchsorted(rank_M, rank_M + difference - intervals.TOLERANCE, side="left").tolist()
    starts = [start for start, end in enumerate(ends) if end - start > 1 and (start == 0 or end > ends[start - 1])]
    return tuple(names[start : ends[start]] for start in starts)
