"""Gaps between groups of samples: how far the worst group is behind the best, and whether a method widens that."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import numpy.typing as npt
import pandas as pd

from tlbench.reports import estimates
from tlbench.reports.frames import latest_records
from tlbench.reports.score_cube import ScoreCube, score_cube, subgroup_accuracies
from tlbench.reports.statistics import intervals
from tlbench.reports.statistics.intervals import Array, Estimate
from tlbench.reports.table import Table, bounds, count_texts, estimate_texts, mark_columns, text_cells, tidy
from tlbench.reports.tables import captions
from tlbench.reports.tables.scores import baselines, new_domains_bounds, new_domains_texts

VERDICTS = {1.0: "wider", 0.0: "n.s.", -1.0: "narrower"}
"""The words for the verdict on the change of a gap."""
UNIT = "percentage points"


def group_gaps(frame: pd.DataFrame) -> list[Table]:
    """The tables of gaps between groups of one suite, one for each of its `baselines`; none without two groups in a pair.

    The gap of a run is the accuracy of its best group minus that of its worst. Its change is against the baseline's run of the
    same pair and seed, so that the sampling noise of small groups, which makes every gap larger, is in both.
    """
    scores = score_cube(frame)
    names, accuracy_MKPS = subgroup_accuracies(scores, latest_records(frame), "per_group")
    measured_KP = np.asarray(np.isfinite(accuracy_MKPS).any(axis=(0, 3)))
    several_P = np.asarray(measured_KP.sum(axis=0) > 1)
    if len(names) < 2 or not several_P.any():
        return []
    present_KPS = measured_KP[:, several_P, None]
    accuracy_MKPS = accuracy_MKPS[:, :, several_P]
    # a run that lacks a group of its pair has neither
    lowest, highest = (np.where(present_KPS, accuracy_MKPS, fill) for fill in (np.inf, -np.inf))
    worst_MPS, best_MPS = lowest.min(axis=1), highest.max(axis=1)
    cubes = [_cube(scores, several_P, values) for values in (worst_MPS, best_MPS - worst_MPS)]
    left_out = [str(pair) for pair in scores.pairs[~several_P]]
    return [table for of in baselines(frame, scores) if (table := _table(cubes[0], cubes[1], of, names, left_out)) is not None]


def _cube(scores: ScoreCube, selected_P: npt.NDArray[np.bool_], values_MPS: Array) -> ScoreCube:
    """Values of the selected pairs, in the order of the entries of the scores."""
    domains = tuple(pair for pair, selected in zip(scores.domains, selected_P, strict=True) if selected)
    floor_P = np.full(len(domains), intervals.TOLERANCE)
    return replace(scores, pairs=scores.pairs[selected_P], domains=domains, values=values_MPS, floor_P=floor_P, decimals=1)


def _table(worst: ScoreCube, gap: ScoreCube, of: tuple[str, str], names: list[str], left_out: list[str]) -> Table | None:
    """The table against one baseline; None where no entry has a gap beside the baseline's."""
    baseline, delta = of
    worst_deltas, changes = worst.minus(baseline), gap.minus(baseline)
    worst_delta, change = estimates.mean_over_pairs(worst_deltas), estimates.mean_over_pairs(changes)
    if not np.isfinite(change.mean).any():
        return None
    of_domains = estimates.mean_for_new_domains(changes)
    verdict_M = intervals.verdicts(change)
    others = gap.entries != baseline
    level, width = (estimates.mean_over_pairs(cube).mean for cube in (worst, gap))
    cell_MP = intervals.over_seeds(changes.values).mean
    wider_M = np.where(np.isfinite(change.mean), (cell_MP > intervals.TOLERANCE).sum(axis=1), np.nan)
    blank = np.full(others.sum(), np.nan)
    columns = {
        "worst group": estimate_texts(Estimate(level[others], blank)),
        "its delta": estimate_texts(worst_delta, signed=True),
        "gap": estimate_texts(Estimate(width[others], blank)),
        "change of gap": estimate_texts(change, signed=True),
        **new_domains_texts(changes, of_domains),
        "verdict": [VERDICTS.get(verdict, "") for verdict in verdict_M],
        "pairs wider": count_texts(wider_M, len(changes.pairs)),
    }
    cells = text_cells(changes.entries, columns)
    marks = ["worse" if verdict == 1 else "better" if verdict == -1 else "" for verdict in verdict_M]
    notes = captions.join_sentences(
        f"Groups: {captions.short_list(names)}; {baseline}: worst group {level[~others][0]:.1f}, gap {width[~others][0]:.1f}.",
        f"Pairs with fewer than two groups are left out: {captions.short_list(left_out)}." if left_out else "",
        captions.incomplete_entries(changes, np.isfinite(cell_MP), "changes"),
    )
    of_worst = {f"worst_group_{name}": value for name, value in bounds(worst_delta, UNIT).items()}
    return Table(
        suite=gap.name,
        kind="groups",
        title=f"{gap.name}: gaps between groups, {delta} against {baseline}",
        caption=captions.join_sentences(*_sentences(changes, baseline), notes),
        line="Gap: accuracy of the best group minus that of the worst, in points; ± margin of error of the 95 % CI over seeds.",
        notes=notes,
        cells=cells,
        data=tidy(
            changes,
            f"gaps, {delta} against {baseline}",
            changes.entries,
            of_entry={
                "worst_group_accuracy": (level[others], "per cent"),
                **of_worst,
                "gap": (width[others], UNIT),
                **bounds(change, UNIT),
                **new_domains_bounds(of_domains, UNIT),
                "verdict": (verdict_M, "1 wider, 0 n.s., -1 narrower"),
            },
            of_cell={"gap_change": (cell_MP, UNIT)},
        ),
        metric=gap.metric,
        marks=mark_columns(cells, {"verdict": marks}),
    )


def _sentences(changes: ScoreCube, baseline: str) -> tuple[str, ...]:
    """The sentences on how the table is computed."""
    return (
        "Worst group: its accuracy in each run, mean over pairs and seeds; gap: best minus worst of a run, in points.",
        f"Deltas and changes are against the run of {baseline} of the same pair and seed.",
        captions.interval_of_means(changes, "change"),
        captions.new_domains(changes),
        "Verdict: wider or narrower if the 95 % CI of the change lies above or below zero.",
    )
