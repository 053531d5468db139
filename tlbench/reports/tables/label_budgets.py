"""Label budgets: how many labels a class a source is worth, with each method."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd

from tlbench.reports import estimates
from tlbench.reports.frames import latest_records
from tlbench.reports.score_cube import ScoreCube, score_cube
from tlbench.reports.statistics.break_even import BreakEven, break_even
from tlbench.reports.statistics.intervals import Array
from tlbench.reports.sweeps import levels_of, sweep_groups
from tlbench.reports.table import Table, text_cells, three_digits, tidy
from tlbench.reports.tables import captions

REFERENCE = "target_only"
"""The method that learns from labelled target samples alone."""


def label_budgets(frame: pd.DataFrame) -> list[Table]:
    """The table of break-evens of one suite, where its records have a sweep over label budgets with `target_only`.

    A method that reads no target labels has one break-even; one that reads k labels a class is worth those of its break-even
    less its own k, at the smallest budget.
    """
    cube = score_cube(frame)
    sweeps = {
        sweep.pair: sorted(levels.items(), key=lambda item: item[1])
        for sweep, levels in sweep_groups(cube.pairs, levels_of(frame)).items()
        if sweep.kind == "labels"
    }
    if REFERENCE not in cube.entries or not sweeps:
        return []
    latest = latest_records(frame)
    readers = set(latest.loc[latest["reads"].str.contains("target_labeled", regex=False), "entry"])
    entries = cube.entries[cube.entries != REFERENCE]
    columns: dict[str, list[str]] = {}
    estimates_MP = np.full((3, len(entries), len(cube.pairs)), np.nan)
    levels_MP = np.full(estimates_MP.shape[1:], np.nan)
    for pair, levels in sweeps.items():
        names = list(map(str, cube.pairs))
        positions = [names.index(name) for name, _ in levels]
        labels_L = np.array([level for _, level in levels], dtype=np.float64)
        curve_LS = cube.direction * _values(cube, REFERENCE)[positions]
        texts: list[str] = []
        for line, entry in enumerate(entries):
            values_LS = cube.direction * _values(cube, str(entry))[positions]
            reads_labels = entry in readers
            result_LS = np.broadcast_to(values_LS[0] if reads_labels else values_LS.mean(axis=0), values_LS.shape)
            complete_S = np.isfinite(result_LS).all(axis=0) & np.isfinite(curve_LS).all(axis=0)
            if not complete_S.any():
                texts.append("")
                continue
            worth = break_even(result_LS[:, complete_S], curve_LS[:, complete_S], labels_L)
            estimates_MP[:, line, positions[0]] = [value if np.isfinite(value) else np.nan for value in worth]
            levels_MP[line, positions[0]] = cube.direction * result_LS[0, complete_S].mean()
            own = f"{labels_L[0]:.0f} + " if reads_labels else ""
            texts.append(_text(worth, labels_L, own))
        columns[f"{pair} (labels a class)"] = texts
    columns["train seconds"], columns[f"seconds to {REFERENCE}"] = _seconds(cube, latest, entries, sweeps)
    of_cell = dict(zip(("labels", "low", "high"), ((value, "labels a class") for value in estimates_MP), strict=True))
    of_cell["mean"] = (levels_MP, cube.measure.unit)
    return [
        Table(
            suite=cube.name,
            kind="labels",
            title=f"{cube.name}: what a source is worth in labels",
            caption=_caption(cube),
            line=f"Labels a class with which {REFERENCE} reaches the {cube.measure.title} of a method (95 % CI over seeds).",
            notes="'n + m': the n labels that a method takes itself, and what its source adds. '<', '>': beyond the budgets.",
            cells=text_cells(entries, columns),
            data=pd.concat([tidy(cube, "labels", entries, {}, of_cell), _curve(cube)], ignore_index=True),
            levels=cube.levels,
            metric=cube.metric,
        )
    ]


def _caption(cube: ScoreCube) -> str:
    """How the table is computed."""
    return captions.join_sentences(
        f"Labelled samples a class with which {REFERENCE} reaches the {cube.measure.title} of a method, with its 95 % CI over "
        "seeds; runs of one seed share their draw of labels.",
        "A method that takes labels itself has the smallest budget; its own labels stand before the plus.",
        "'<' and '>' mark what lies outside of the measured budgets.",
        f"Seconds to {REFERENCE}: the train seconds of a method whose mean reaches that of {REFERENCE} at the smallest budget "
        "on every pair; when in its training is not known, because traces hold no target accuracy.",
    )


def _seconds(
    cube: ScoreCube, records: pd.DataFrame, entries: pd.Index[str], sweeps: Mapping[str, list[tuple[str, int]]]
) -> tuple[list[str], list[str]]:
    """Each entry's median train seconds of a case, and by when it reaches the reference at the smallest budget of every pair.

    Args:
        cube: the scores.
        records: at most one record per case.
        entries: the M entries of the table.
        sweeps: by pair, its generated pairs with their budgets, the smallest first.
    """
    of_sweeps = [name for levels in sweeps.values() for name, _ in levels]
    done = records[(records["status"] == "done") & records["pair"].isin(of_sweeps)]
    median = done.groupby("entry")["train_seconds"].median().reindex(entries).to_numpy(dtype=np.float64)
    smallest = [list(map(str, cube.pairs)).index(levels[0][0]) for levels in sweeps.values()]
    gain_MP = cube.direction * (cube.values - _values(cube, REFERENCE)).mean(axis=-1)[:, smallest]
    gain_MP = gain_MP[cube.entries.get_indexer(entries)]
    texts = three_digits(median)
    reached = [
        "" if np.isnan(gain_P).any() or not text else f"at most {text}" if (gain_P >= 0).all() else "not reached"
        for gain_P, text in zip(gain_MP, texts, strict=True)
    ]
    return texts, reached


def _curve(cube: ScoreCube) -> pd.DataFrame:
    """The scores of the reference at every budget, with the bounds of their 95 % CIs over seeds."""
    line = cube.entries.get_loc(REFERENCE)
    mean_MP, margin_MP = (array[line][None] for array in estimates.cell_means(cube))
    of_cell = {"curve": mean_MP, "curve_low": mean_MP - margin_MP, "curve_high": mean_MP + margin_MP}
    return tidy(cube, "labels", pd.Index([REFERENCE]), {}, {name: (of, cube.measure.unit) for name, of in of_cell.items()})


def _values(cube: ScoreCube, entry: str) -> Array:
    """The scores (P, S) of an entry."""
    values: Array = cube.values[cube.entries.get_loc(entry)]
    return values


def _text(worth: BreakEven, labels_L: Array, own: str) -> str:
    """A break-even as in "3.2 (1.8 to > 20)", less the labels that the method takes itself."""
    less = labels_L[0] if own else 0.0

    def number(value: float) -> str:
        if value == 0:
            return f"< {labels_L[0] - less:.3g}" if labels_L[0] > less else "0 or fewer"
        return f"> {labels_L[-1] - less:.3g}" if np.isinf(value) else f"{value - less:.3g}"

    interval = "" if np.isnan(worth.low) else f" ({number(worth.low)} to {number(worth.high)})"
    return own + number(worth.labels) + interval
