"""Average ranks over pairs, and which rows their differences can't tell apart.

Demsar, Statistical Comparisons of Classifiers over Multiple Data Sets, Journal of Machine Learning Research 7, 2006, with
pairs as his data sets. SciPy has the tests that it takes; scikit-posthocs would add statsmodels and seaborn for one formula.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np
import pandas as pd
from scipy.stats import f as f_distribution
from scipy.stats import rankdata, studentized_range

from tlbench.reports.score_cube import Cube, complete, cube
from tlbench.reports.statistics import intervals
from tlbench.reports.statistics.intervals import Array
from tlbench.reports.table import Table, best_two, mark_best, text_cells, tidy, tidy_long
from tlbench.reports.tables import captions


@dataclass(frozen=True, eq=False)
class Ranking:
    """Complete rows by their average rank, best first, over P pairs.

    `groups` are the largest sets of neighbours whose average ranks differ by less than `critical_difference`, sets of one
    left out; `p` is that of Friedman's test.
    """

    entries: tuple[str, ...]
    average_rank: Array
    critical_difference: float
    groups: tuple[tuple[str, ...], ...]
    p: float
    pairs: int

    @property
    def can_decide(self) -> bool:
        """Whether a difference could reach the critical one at all: ranks differ by k - 1 at most."""
        return self.critical_difference < len(self.entries) - 1


def ranking(frame: pd.DataFrame) -> Ranking | None:
    """The ranking of one suite's frame; None with fewer than two complete rows or two pairs."""
    return ranked(cube(frame))


def ranked(scores: Cube) -> Ranking | None:
    """Ranks within each pair of the means over seeds, ties shared; then Friedman's test and Nemenyi's critical difference.

    p is of the F statistic of Iman and Davenport (Communications in Statistics 9, 1980) with the ties taken into account;
    CD = q(0.95; k rows) / sqrt(2) * sqrt(k (k + 1) / (6 P)), q the studentised range.
    """
    mean_RP = intervals.over_seeds(scores.values).mean
    whole_R = complete(mean_RP)
    rows, pairs = int(whole_R.sum()), len(scores.pairs)
    if rows < 2 or pairs < 2:
        return None
    rank_RP = rankdata(-scores.better * mean_RP[whole_R].round(9), axis=0)
    average_R = rank_RP.mean(axis=1)
    order = np.argsort(average_R, kind="stable")
    names = tuple(str(name) for name in scores.entries[whole_R][order])
    difference = critical_difference(rows, pairs)
    return Ranking(names, average_R[order], difference, _groups(names, average_R[order], difference), friedman(rank_RP), pairs)


def friedman(rank_RP: Array) -> float:
    """p of the hypothesis that all rows are alike, from their ranks (k rows, P pairs) within each pair."""
    rows, pairs = rank_RP.shape
    between = pairs * ((rank_RP.mean(axis=1) - (rows + 1) / 2) ** 2).sum()
    total = ((rank_RP - (rows + 1) / 2) ** 2).sum()
    if total - between <= 1e-12:  # all pairs agree, or all rows are tied in each
        return 1.0 if total == 0 else 0.0
    return float(f_distribution.sf((pairs - 1) * between / (total - between), rows - 1, (rows - 1) * (pairs - 1)))


@cache
def critical_difference(rows: int, pairs: int) -> float:
    """Nemenyi's: average ranks over so many pairs must differ by as much at the level 0.05."""
    return float(studentized_range.ppf(intervals.CONFIDENCE, rows, np.inf) * np.sqrt(rows * (rows + 1) / (12 * pairs)))


def ranks(frame: pd.DataFrame) -> list[Table]:
    """The table of average ranks of one suite; none where a ranking takes more rows or pairs."""
    scores = cube(frame)
    found = ranked(scores)
    if found is None:
        return []
    rows = pd.Index(found.entries, dtype=object)
    letters = _letters(found)
    cells = text_cells(rows, {"average rank": [f"{rank:.2f}" for rank in found.average_rank], "like": letters})
    of_group = tidy_long(
        scores,
        "ranks",
        rows,
        [str(number) for number, _ in enumerate(found.groups, 1)],
        {"group": (_members(found), "1 is in it")},
    )
    of_row = {
        "average_rank": (found.average_rank, "rank"),
        "critical_difference": (np.full(len(rows), found.critical_difference), "rank"),
        "friedman_p": (np.full(len(rows), found.p), "p"),
    }
    level = intervals.sign_test_floor(found.pairs)
    return [
        Table(
            suite=scores.name,
            kind="ranks",
            title=f"{scores.name}: average ranks by {scores.measure.title}",
            caption=captions.joined(
                f"Ranks within each of {captions.plural(found.pairs, 'pair')}, 1 the best, averaged. Rows with a letter in "
                f"common differ by less than Nemenyi's critical difference {found.critical_difference:.2f} (level 0.05); "
                f"Friedman's test over pairs: p = {found.p:.2g}.",
                "" if found.can_decide else f"Too few pairs to tell any two of {len(rows)} rows apart in this way.",
                f"A sign test over {captions.plural(found.pairs, 'pair')} can't go below {level:.2g}." if level > 0.05 else "",
                "Pairs that share domains are not independent, so these tests are too sure of themselves."
                if _shared(scores)
                else "",
                captions.SELECTION,
                captions.incomplete(scores, np.isfinite(intervals.over_seeds(scores.values).mean), "rank"),
            ),
            cells=cells,
            data=pd.concat([tidy(scores, "ranks", rows, of_row, of_cell={}), of_group], ignore_index=True),
            metric=scores.metric,
            marks=mark_best(cells, {"average rank": best_two(found.average_rank, -1.0)}),
        )
    ]


def _shared(scores: Cube) -> bool:
    return bool((intervals.deletable(scores.domains).sum(axis=1) > 1).any())


def _groups(names: tuple[str, ...], rank_R: Array, difference: float) -> tuple[tuple[str, ...], ...]:
    """The longest stretches of neighbours closer than the difference, from the first row on."""
    ends = np.searchsorted(rank_R, rank_R + difference - intervals.NOISE, side="left").tolist()
    starts = [start for start, end in enumerate(ends) if end - start > 1 and (start == 0 or end > ends[start - 1])]
    return tuple(names[start : ends[start]] for start in starts)


def _members(found: Ranking) -> Array:
    """1 where a row (R) is in a group (G), else NaN: (R, G)."""
    member = [[1.0 if row in group else np.nan for group in found.groups] for row in found.entries]
    return np.array(member).reshape(len(found.entries), len(found.groups))


def _letters(found: Ranking) -> list[str]:
    """The groups that each row is in, as letters: a, b, ..., z, then numbers."""
    named = [chr(ord("a") + number) if number < 26 else f"({number})" for number in range(len(found.groups))]
    return ["".join(name for name, group in zip(named, found.groups, strict=True) if row in group) for row in found.entries]
