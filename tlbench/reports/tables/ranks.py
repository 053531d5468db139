"""The table of average ranks, with the groups of entries that the critical difference does not separate."""

from __future__ import annotations

import numpy as np
import pandas as pd

from tlbench.reports.score_cube import ScoreCube, score_cube
from tlbench.reports.statistics import intervals
from tlbench.reports.statistics.average_ranks import Ranking, rank_entries
from tlbench.reports.statistics.intervals import Array
from tlbench.reports.table import Quantities, Table, best_two, mark_columns, text_cells, tidy, tidy_subgroups
from tlbench.reports.tables import captions, short_captions


def ranks(frame: pd.DataFrame) -> list[Table]:
    """The table of average ranks of one suite's frame; no table with fewer than two complete entries or two pairs."""
    scores = score_cube(frame)
    ranking = rank_entries(scores)
    if ranking is None:
        return []
    entries = pd.Index(ranking.entries, dtype=object)
    cells = text_cells(
        entries, {"average rank": [f"{rank:.2f}" for rank in ranking.average_rank], "group": _group_letters(ranking)}
    )
    group_numbers = [str(number) for number, _ in enumerate(ranking.groups, 1)]
    membership = tidy_subgroups(
        scores, "ranks", entries, group_numbers, {"group": (_membership(ranking), "1 for a member of the group")}
    )
    of_entry: Quantities = {
        "average_rank": (ranking.average_rank, "rank"),
        "critical_difference": (np.full(len(entries), ranking.critical_difference), "rank"),
        "friedman_p": (np.full(len(entries), ranking.p), "p"),
    }
    return [
        Table(
            suite=scores.name,
            kind="ranks",
            title=f"{scores.name}: average ranks by {scores.measure.title}",
            caption=_caption(scores, ranking),
            line=short_captions.ranks_line(ranking),
            notes=captions.join_sentences(f"Friedman's test: p = {ranking.p:.2g}.", *_reservations(scores, ranking)),
            cells=cells,
            data=pd.concat([tidy(scores, "ranks", entries, of_entry, of_cell={}), membership], ignore_index=True),
            metric=scores.metric,
            marks=mark_columns(cells, {"average rank": best_two(ranking.average_rank, -1.0)}),
        )
    ]


def _caption(scores: ScoreCube, ranking: Ranking) -> str:
    pairs = captions.plural(ranking.pairs, "pair")
    smallest = intervals.smallest_sign_test_p(ranking.pairs)
    return captions.join_sentences(
        f"Ranks within each of {pairs} (1 is best), averaged. Entries that share a letter differ by less than Nemenyi's "
        f"critical difference, {ranking.critical_difference:.2f} at the level 0.05; Friedman's test over pairs gives "
        f"p = {ranking.p:.2g}.",
        f"The smallest p-value of a sign test over {pairs} is {smallest:.2g}." if smallest > 0.05 else "",
        *_reservations(scores, ranking),
        captions.SELECTION,
    )


def _reservations(scores: ScoreCube, ranking: Ranking) -> tuple[str, ...]:
    """The sentences on what the tests of these records can't say, and on what is missing."""
    shared = bool((intervals.removable_domains(scores.distinct().domains).sum(axis=1) > 1).any())
    return (
        captions.shared_draws(scores),
        "" if ranking.can_decide else f"Too few pairs: the test can't separate any two of {len(ranking.entries)} entries.",
        "Pairs that share domains are not independent, which makes these tests anti-conservative." if shared else "",
        captions.incomplete_entries(scores, np.isfinite(intervals.over_seeds(scores.values).mean), "rank"),
    )


def _membership(ranking: Ranking) -> Array:
    """1 where an entry belongs to a group, else NaN: (M, groups)."""
    member = [[1.0 if entry in group else np.nan for group in ranking.groups] for entry in ranking.entries]
    return np.array(member).reshape(len(ranking.entries), len(ranking.groups))


def _group_letters(ranking: Ranking) -> list[str]:
    """The groups of each entry as letters: a, b, ..., z, then numbers in brackets."""
    letters = [chr(ord("a") + number) if number < 26 else f"({number})" for number in range(len(ranking.groups))]
    return [
        "".join(letter for letter, group in zip(letters, ranking.groups, strict=True) if entry in group)
        for entry in ranking.entries
    ]
