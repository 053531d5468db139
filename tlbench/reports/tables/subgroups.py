"""Deltas of classes and of declared groups of rows: the harm that a mean over all rows hides."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from tlbench.reports.frames import latest_done
from tlbench.reports.score_cube import Cube, cube, parts
from tlbench.reports.statistics import intervals, moderated
from tlbench.reports.statistics.intervals import Array, Estimate
from tlbench.reports.table import STAR, VERDICTS, Table, bounds, counts, mark_best, text_cells, texts, tidy_long
from tlbench.reports.tables import captions
from tlbench.reports.tables.scores import baselines

_COLUMNS = 20
"""A table of more classes or groups than these shows only the worst of each row; its data hold all."""

_WORST = 3


@dataclass(frozen=True, eq=False)
class Subgroups:
    """Deltas of K classes or groups in percentage points, the mean over pairs and seeds, and their marks: (R, K)."""

    names: list[str]
    found: moderated.Marks

    def worst(self) -> tuple[list[str | None], Array]:
        """The part with the lowest delta in each row, and that delta; None and NaN where there is none."""
        mean_RK = self.found.mean
        if not self.names:
            return [None] * len(mean_RK), np.full(len(mean_RK), np.nan)
        at_R = np.argmin(np.where(np.isnan(mean_RK), np.inf, mean_RK), axis=1)
        low_R = mean_RK[np.arange(len(at_R)), at_R]
        return [None if np.isnan(low) else self.names[at] for at, low in zip(at_R, low_R, strict=True)], low_R

    def worst_marks(self) -> list[str]:
        """ "hurts" where the worst part of a row (R) surely does, else nothing."""
        if not self.names:
            return [""] * len(self.found.mark)
        at_R = np.argmin(np.where(np.isnan(self.found.mean), np.inf, self.found.mean), axis=1)
        return ["hurts" if mark == -1 else "" for mark in self.found.mark[np.arange(len(at_R)), at_R]]


def class_deltas(frame: pd.DataFrame) -> list[Table]:
    """Deltas of each class against the suite's baselines: mean over the pairs that have it."""
    return _tables_of_parts(frame, "per_class", "classes", "class")


def group_deltas(frame: pd.DataFrame) -> list[Table]:
    """As `classes`, of the declared groups of rows."""
    return _tables_of_parts(frame, "per_group", "groups", "group")


def _tables_of_parts(frame: pd.DataFrame, column: str, kind: str, noun: str) -> list[Table]:
    scores, last = cube(frame), latest_done(frame)
    if not last[column].notna().any():
        return []
    made = [
        _parts(scores.minus(row), subgroup_deltas(scores, last, row, column), kind, noun, f"{name} against {row}")
        for row, name in baselines(frame, scores)
    ]
    return [table for table in made if table is not None]


def _parts(deltas: Cube, found: Subgroups, kind: str, noun: str, name: str) -> Table | None:
    if not found.names or not np.isfinite(found.found.mean).any():
        return None
    shown = [
        [text + STAR * (mark in (1.0, -1.0)) for text, mark in zip(texts(Estimate(*of), signed=True), marks, strict=True)]
        for of, marks in zip(zip(*found.found.estimate, strict=True), found.found.mark, strict=True)
    ]
    hurt_R = np.where(np.isfinite(found.found.mark).any(axis=1), (found.found.mark == -1).sum(axis=1), np.nan)
    known_R = np.isfinite(found.found.mean).sum(axis=1)
    columns = {f"{kind} surely hurt": counts(hurt_R, known_R)}
    of_columns = {}
    if len(found.names) <= _COLUMNS:
        columns |= {label: [row[k] for row in shown] for k, label in enumerate(found.names)}
        of_columns = {label: found.found.mark[:, k] for k, label in enumerate(found.names)}
    else:
        order_RK = np.argsort(np.where(np.isnan(found.found.mean), np.inf, found.found.mean), axis=1)
        for place in range(_WORST):
            at_R = order_RK[:, place]
            title = "worst" if not place else f"{place + 1}. worst"
            columns[title] = [f"{found.names[k]}: {row[k]}" if row[k] else "" for k, row in zip(at_R, shown, strict=True)]
            of_columns[title] = found.found.mark[np.arange(len(at_R)), at_R]
    cells = text_cells(deltas.entries, columns)
    more = "" if len(found.names) <= _COLUMNS else f" The {_WORST} worst of {len(found.names)} are shown, the data hold all."
    some = len(deltas.seeds) >= intervals.SEEDS_NEEDED
    interval = ", ± half of the 95 % interval (moderated t over seeds: would other seeds give it?)" if some else ""
    return Table(
        suite=deltas.name,
        kind=kind,
        title=f"{deltas.name}: {name}, by {noun}",
        caption=captions.joined(
            f"Accuracy of each {noun} minus that of the baseline, in percentage points: mean over seeds and over the pairs "
            f"that have it{interval}.{more}",
            f"A star: surely helped or hurt, by {captions.MODERATED} over this table." if interval else "",
            captions.incomplete(deltas, np.isfinite(intervals.over_seeds(deltas.values).mean), "entries"),
        ),
        cells=cells,
        data=tidy_long(
            deltas,
            f"{kind}, {name}",
            deltas.entries,
            found.names,
            {
                **bounds(found.found.estimate, "percentage points"),
                "mark": (found.found.mark, "1 helps, 0 undecided, -1 hurts"),
                "p": (found.found.p, "p, adjusted"),
            },
        ),
        metric=deltas.metric,
        marks=mark_best(cells, {title: [VERDICTS.get(mark, "") for mark in of] for title, of in of_columns.items()}),
    )


def subgroup_deltas(scores: Cube, last: pd.DataFrame, baseline: str, column: str) -> Subgroups:
    """Deltas of the classes or groups in a column of mappings, each the mean over the pairs that have it, then over seeds.

    Rows are those of `scores.minus(baseline)`. A seed counts with all the pairs that have the part in any row, so that one
    missing run leaves a blank.
    """
    names, values_RKPS = parts(scores, last, column)
    base_R = scores.entries == baseline
    rest = values_RKPS[~base_R]
    if not names or not base_R.any():
        blank = np.full((len(rest), 0), np.nan)
        return Subgroups([], moderated.Marks(blank, blank, blank, blank))
    deltas_RKPS = rest - values_RKPS[base_R]
    has_KP = np.asarray(np.isfinite(values_RKPS).any(axis=(0, 3)))
    pairs_K1 = np.where(has_KP.any(axis=1), has_KP.sum(axis=1), np.nan)[:, None]
    over_pairs_RKS = np.where(has_KP[..., None], deltas_RKPS, 0.0).sum(axis=2) / pairs_K1
    return Subgroups(names, moderated.marks(over_pairs_RKS))
