"""Deltas of single classes and of declared groups of samples, whose losses a mean over all samples hides."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from tlbench.reports.frames import latest_records
from tlbench.reports.score_cube import ScoreCube, score_cube, subgroup_accuracies
from tlbench.reports.statistics import intervals
from tlbench.reports.statistics.intervals import Array, Estimate
from tlbench.reports.statistics.moderated import Design, ModeratedT, moderated_t
from tlbench.reports.table import (
    STAR,
    VERDICT_UNIT,
    VERDICTS,
    Table,
    bounds,
    count_texts,
    estimate_texts,
    mark_columns,
    text_cells,
    tidy_subgroups,
)
from tlbench.reports.tables import captions, short_captions
from tlbench.reports.tables.scores import baselines

_MAX_COLUMNS = 20
"""With more classes or groups a table shows only the worst of each entry; its data hold all."""

_WORST = 3


@dataclass(frozen=True, eq=False)
class Subgroups:
    """The tests (M, K) of the deltas of K classes or groups, in percentage points, averaged over pairs."""

    names: list[str]
    tests: ModeratedT

    def worst(self) -> tuple[list[str | None], Array]:
        """The subgroup with the lowest delta of each entry, and that delta; None and NaN where there is no delta."""
        if not self.names:
            return [None] * len(self.tests.mean), np.full(len(self.tests.mean), np.nan)
        worst_M = self._worst_indices()
        delta_M = self.tests.mean[np.arange(len(worst_M)), worst_M]
        names = [None if np.isnan(delta) else self.names[k] for k, delta in zip(worst_M, delta_M, strict=True)]
        return names, delta_M

    def worst_marks(self) -> list[str]:
        """The mark of the worst subgroup of each entry: "worse" where it is significantly worse, else nothing."""
        if not self.names:
            return [""] * len(self.tests.mark)
        worst_M = self._worst_indices()
        return [VERDICTS[-1.0] if mark == -1 else "" for mark in self.tests.mark[np.arange(len(worst_M)), worst_M]]

    def _worst_indices(self) -> Array:
        return np.argmin(np.where(np.isnan(self.tests.mean), np.inf, self.tests.mean), axis=1)


def class_deltas(frame: pd.DataFrame) -> list[Table]:
    """The tables of deltas of each class, one for each of the `baselines` of one suite, averaged over pairs with the class."""
    return _tables(frame, "per_class", "classes", "class")


def group_deltas(frame: pd.DataFrame) -> list[Table]:
    """The tables of deltas of each declared group of samples; as `class_deltas`."""
    return _tables(frame, "per_group", "groups", "group")


def subgroup_deltas(scores: ScoreCube, records: pd.DataFrame, baseline: str, column: str) -> Subgroups:
    """The deltas of classes or groups: the mean over the pairs that have the subgroup, tested over seeds.

    Single runs, see `ScoreCube.single_M`, have no test. A seed counts only with all pairs in which any entry has the subgroup,
    so that a missing run makes the mean NaN.

    Args:
        scores: the scores of the suite; the entries of the result are those of `scores.minus(baseline)`.
        records: at most one record per case.
        baseline: the entry that is subtracted.
        column: a column of mappings, `per_class` or `per_group`.
    """
    names, values_MKPS = subgroup_accuracies(scores, records, column)
    base_M = scores.entries == baseline
    others_MKPS = values_MKPS[~base_M]
    if not names or not base_M.any():
        blank = np.full((len(others_MKPS), 0), np.nan)
        return Subgroups([], ModeratedT(blank, blank, blank, blank))
    deltas_MKPS = others_MKPS - values_MKPS[base_M]
    present_KP = np.asarray(np.isfinite(values_MKPS).any(axis=(0, 3)))
    pairs_K1 = np.where(present_KP.any(axis=1), present_KP.sum(axis=1), np.nan)[:, None]
    over_pairs_MKS = np.where(present_KP[..., None], deltas_MKPS, 0.0).sum(axis=2) / pairs_K1
    single_M = scores.minus(baseline).single_M
    return Subgroups(names, moderated_t(over_pairs_MKS, design=Design(single_M=single_M)))


def _tables(frame: pd.DataFrame, column: str, kind: str, noun: str) -> list[Table]:
    scores, records = score_cube(frame), latest_records(frame)
    if not records[column].notna().any():
        return []
    tables = [
        _table(
            scores.minus(baseline), subgroup_deltas(scores, records, baseline, column), kind, noun, f"{name} against {baseline}"
        )
        for baseline, name in baselines(frame, scores)
    ]
    return [table for table in tables if table is not None]


def _table(deltas: ScoreCube, subgroups: Subgroups, kind: str, noun: str, name: str) -> Table | None:
    """The table of one baseline; None where no subgroup has a delta.

    Args:
        deltas: names the suite and the entries.
        subgroups: the tests of the deltas.
        kind: the kind of table, `classes` or `groups`.
        noun: "class" or "group".
        name: that of the delta and the baseline, as in "adaptation delta against source_only".
    """
    tests = subgroups.tests
    if not subgroups.names or not np.isfinite(tests.mean).any():
        return None
    columns, mark_columns_M = _columns(subgroups)
    cells = text_cells(deltas.entries, columns)
    return Table(
        suite=deltas.name,
        kind=kind,
        title=f"{deltas.name}: {name}, by {noun}",
        caption=_caption(deltas, len(subgroups.names), noun),
        line=short_captions.subgroups_line(deltas, noun),
        notes=captions.join_sentences(*_particulars(deltas, len(subgroups.names))),
        cells=cells,
        data=tidy_subgroups(
            deltas,
            f"{kind}, {name}",
            deltas.entries,
            subgroups.names,
            {
                **bounds(tests.estimate, "percentage points"),
                "mark": (tests.mark, VERDICT_UNIT),
                "p": (tests.p, "p, adjusted"),
            },
        ),
        metric=deltas.metric,
        marks=mark_columns(
            cells, {title: [VERDICTS.get(mark, "") for mark in mark_M] for title, mark_M in mark_columns_M.items()}
        ),
    )


def _columns(subgroups: Subgroups) -> tuple[dict[str, list[str]], dict[str, Array]]:
    """The columns of text, and the marks (M,) of those that have marks: each subgroup, or the worst of many."""
    names, tests = subgroups.names, subgroups.tests
    texts_MK = [
        [
            text + STAR * (mark in (1.0, -1.0))
            for text, mark in zip(estimate_texts(Estimate(*estimate), signed=True), mark_K, strict=True)
        ]
        for estimate, mark_K in zip(zip(*tests.estimate, strict=True), tests.mark, strict=True)
    ]
    worse_M = np.where(np.isfinite(tests.mark).any(axis=1), (tests.mark == -1).sum(axis=1), np.nan)
    columns = {"significantly worse": count_texts(worse_M, np.isfinite(tests.mean).sum(axis=1))}
    if len(names) <= _MAX_COLUMNS:
        columns |= {name: [texts_K[k] for texts_K in texts_MK] for k, name in enumerate(names)}
        return columns, {name: tests.mark[:, k] for k, name in enumerate(names)}
    marks = {}
    order_MK = np.argsort(np.where(np.isnan(tests.mean), np.inf, tests.mean), axis=1)
    for rank in range(_WORST):
        index_M = order_MK[:, rank]
        title = "worst" if not rank else f"{rank + 1}. worst"
        columns[title] = [
            f"{names[k]}: {texts_K[k]}" if texts_K[k] else "" for k, texts_K in zip(index_M, texts_MK, strict=True)
        ]
        marks[title] = tests.mark[np.arange(len(index_M)), index_M]
    return columns, marks


def _caption(deltas: ScoreCube, count: int, noun: str) -> str:
    tested = len(deltas.seeds) >= intervals.MIN_SEEDS
    margin = ", ± margin of error of the 95 % CI (moderated t), which covers other seeds on these pairs" if tested else ""
    return captions.join_sentences(
        f"Accuracy of each {noun} minus that of the baseline, in percentage points, averaged over seeds and over the pairs "
        f"with the {noun}{margin}.",
        f"*: significantly better or worse ({captions.SIGNIFICANCE} over this table)." if tested else "",
        *_particulars(deltas, count),
    )


def _particulars(deltas: ScoreCube, count: int) -> tuple[str, ...]:
    """The sentences on what is left out of a table of `count` subgroups, and on what is missing."""
    return (
        f"The {_WORST} worst of {count} are shown; the data hold all." if count > _MAX_COLUMNS else "",
        captions.single_runs(deltas, tested=False),
        captions.incomplete_entries(deltas, np.isfinite(intervals.over_seeds(deltas.values).mean), "deltas"),
    )
