"""The tables of costs: speed, time, memory and energy; and what accuracy is gained for them."""

from __future__ import annotations

import numpy as np
import pandas as pd

from tlbench.reports.frames import DETAILS, latest, latest_done
from tlbench.reports.score_cube import Cube, cube
from tlbench.reports.statistics import intervals
from tlbench.reports.statistics.intervals import Array, Estimate
from tlbench.reports.table import Table, figures, mark_best, text_cells, texts, tidy
from tlbench.reports.tables import captions

_MACHINE = ("device", "devices", "cpu", "cores", "threads", "concurrent_cases", "precision", "batch")
_WITHOUT_BATCH = _MACHINE[:-1]
_UNITS = {
    "train_samples_per_second": "samples/s",
    "predict_samples_per_second": "samples/s",
    "train_seconds": "seconds",
    "peak_memory_bytes": "bytes",
    "energy_joules": "joules",
}
_NAMED = {"flops_per_sample": "FLOPs", "flops_per_second": "FLOPs/s", "steps": "steps", "seconds": "seconds", "bytes": "bytes"}
"""What a quantity's name holds -> its unit; the first that fits."""
_MIB, _GIB = 2**20, 2**30


def throughput(frame: pd.DataFrame) -> list[Table]:
    """Medians over the cases done, one table per machine, precision and batch size; rows in the order of accuracy.

    A case that ran on two machines counts on both. Takes the frame of one suite.
    """
    scores = cube(frame)
    groups = _groups(frame, _MACHINE)
    return [_costs(scores, group, _split(groups)) for group in groups]


def pareto_table(frame: pd.DataFrame) -> list[Table]:
    """Accuracy against cost, one table per machine and precision: gain per minute, and which rows no other row beats in both.

    Batch sizes share a table: it compares seconds, not samples per second. Takes the frame of one suite.
    """
    scores = cube(frame)
    baseline = latest(frame, "baseline")
    groups = _groups(frame, _WITHOUT_BATCH)
    made = [_frontier(scores, group, None if baseline is None else str(baseline), _split(groups)) for group in groups]
    return [table for table in made if len(table.cells) > 1]


def cost_details(frame: pd.DataFrame) -> list[Table]:
    """The other costs that were measured, medians as in `throughput`; no table where none was."""
    scores = cube(frame)
    groups = [group for group in _groups(frame, _MACHINE) if group[list(DETAILS)].notna().any(axis=None)]
    return [_details(scores, group, _split(groups)) for group in groups]


def _groups(frame: pd.DataFrame, by: tuple[str, ...]) -> list[pd.DataFrame]:
    done = latest_done(frame, by=by)
    done = done[done["status"] == "done"]
    return [group for _, group in done.groupby(list(by), sort=False, dropna=False)]


def _split(groups: list[pd.DataFrame]) -> str:
    """That the records of a suite are of several machines or precisions, where they are."""
    said = []
    for columns, noun in ((_MACHINE[:-2], "machine"), (("precision",), "precision")):
        kinds = {tuple(map(str, group[list(columns)].iloc[0])) for group in groups}
        if len(kinds) > 1:
            said.append(captions.plural(len(kinds), noun))
    return f"The records are of {' and '.join(said)}, which are not mixed: each has a table of its own." if said else ""


def _medians(group: pd.DataFrame, rows: pd.Index[str], columns: tuple[str, ...]) -> dict[str, Array]:
    by_row = group.astype(dict.fromkeys(columns, "float64")).groupby("entry", sort=False)
    medians = by_row[list(columns)].median().reindex(rows)
    return {column: medians[column].to_numpy(dtype=np.float64) for column in columns}


def _memory(bytes_R: Array) -> dict[str, list[str]]:
    large = bool((bytes_R >= _GIB).any())
    return {f"peak memory {'GiB' if large else 'MiB'}": figures(bytes_R / (_GIB if large else _MIB))}


def _costs(scores: Cube, group: pd.DataFrame, split: str) -> Table:
    rows = scores.entries[scores.entries.isin(group["entry"])]
    value = _medians(group, rows, tuple(_UNITS))
    cases_R = group.groupby("entry", sort=False).size().reindex(rows).to_numpy()
    energy_read = bool(np.isfinite(value["energy_joules"]).any())
    blank = any(np.isnan(value[column]).any() for column in _UNITS if column != "energy_joules")
    text = {
        "cases": [str(cases) for cases in cases_R],
        "train samples/s": figures(value["train_samples_per_second"]),
        "predict samples/s": figures(value["predict_samples_per_second"]),
        "train seconds": figures(value["train_seconds"]),
        **_memory(value["peak_memory_bytes"]),
        **({"energy J": figures(value["energy_joules"])} if energy_read else {}),
    }
    where = _where(group, _MACHINE)
    return Table(
        suite=scores.name,
        kind="throughput",
        title=f"{scores.name}: throughput on {where}",
        caption=captions.joined(
            "Medians over the cases done; compare within one machine, precision and batch size: within this table.",
            split,
            "Train seconds of a solved method is its fit." if (group["kind"] == "solved").any() else "",
            "Blank: not measured." if blank else "",
            "" if energy_read else "Energy: not readable on this machine.",
            captions.mixtures(group),
        ),
        cells=text_cells(rows, text),
        data=tidy(
            scores,
            f"throughput on {where}",
            rows,
            of_row={"cases": (cases_R, "cases")} | {quantity: (value[quantity], unit) for quantity, unit in _UNITS.items()},
            of_cell={},
        ),
        metric=scores.metric,
    )


def _frontier(scores: Cube, group: pd.DataFrame, baseline: str | None, split: str) -> Table:
    rows = scores.entries[scores.entries.isin(group["entry"])]
    value = _medians(group, rows, tuple(_UNITS))
    at_R = scores.entries.get_indexer(rows)
    score_R = intervals.these_pairs(scores.values).mean[at_R]
    delta = Estimate(np.full(len(rows), np.nan), np.full(len(rows), np.nan))
    if baseline is not None and baseline in scores.entries and len(scores.entries) > 1:
        deltas = scores.minus(baseline)
        found, at = intervals.these_pairs(deltas.values), deltas.entries.get_indexer(rows)
        delta = Estimate(*(np.where(at >= 0, of[at], np.nan) for of in found))
    gain_R = scores.better * delta.mean
    per_minute_R = np.where(gain_R > intervals.NOISE, gain_R / (value["train_seconds"] / 60), np.nan)
    front_R = pareto(scores.better * score_R, value["train_seconds"])
    device = str(group["device"].iloc[0])
    minute = "CPU-minute" if device == "cpu" else "GPU-minute"
    energy_read = bool(np.isfinite(value["energy_joules"]).any())
    where, points = _where(group, _WITHOUT_BATCH), "points" if scores.measure.unit == "per cent" else scores.measure.unit
    front = ["front" if on == 1 else "" for on in front_R.tolist()]
    cells = text_cells(
        rows,
        {
            scores.measure.title: texts(Estimate(score_R, np.full(len(rows), np.nan)), scores.decimals),
            "mean delta": texts(delta, scores.decimals, signed=True),
            "train seconds": figures(value["train_seconds"]),
            **_memory(value["peak_memory_bytes"]),
            **({"energy J": figures(value["energy_joules"])} if energy_read else {}),
            f"{points} per {minute}": figures(per_minute_R),
            "Pareto front": ["yes" if on else "" for on in front],
        },
    )
    return Table(
        suite=scores.name,
        kind="frontier",
        title=f"{scores.name}: {scores.measure.title} against cost on {where}",
        caption=captions.joined(
            f"{captions.unit(scores)}, means over pairs and seeds; costs are medians over the cases done.",
            captions.interval_of_means(scores, "mean delta") if baseline else "",
            f"Per {minute}: mean gain over {baseline} divided by the median time to train one case; blank without gain."
            if baseline
            else "",
            "Pareto front: no other row is at least as good in both, mean and train seconds, and better in one.",
            split,
            captions.incomplete(scores, np.isfinite(intervals.over_seeds(scores.values).mean), "mean and front"),
        ),
        cells=cells,
        data=tidy(
            scores,
            f"cost on {where}",
            rows,
            of_row={
                "score": (score_R, scores.measure.unit),
                "delta": (delta.mean, scores.unit_of_deltas),
                **{quantity: (value[quantity], unit) for quantity, unit in _UNITS.items()},
                "points_per_minute": (per_minute_R, f"{points} per {minute}"),
                "front": (front_R, "1 on the Pareto front"),
            },
            of_cell={},
        ),
        metric=scores.metric,
        marks=mark_best(cells, {"Pareto front": front}),
    )


def pareto(gain_R: Array, cost_R: Array) -> Array:
    """1 for a row (R,) unless another has at least its gain at no more than its cost, and one of the two better: then 0.

    NaN where gain or cost is missing.
    """
    there_R = np.isfinite(gain_R) & np.isfinite(cost_R)
    with np.errstate(invalid="ignore"):
        at_least_RR = (gain_R >= gain_R[:, None]) & (cost_R <= cost_R[:, None])
        better_RR = (gain_R > gain_R[:, None]) | (cost_R < cost_R[:, None])
    beaten_R = np.asarray((at_least_RR & better_RR).any(axis=1))
    return np.where(there_R, np.where(beaten_R, 0.0, 1.0), np.nan)


def _details(scores: Cube, group: pd.DataFrame, split: str) -> Table:
    rows = scores.entries[scores.entries.isin(group["entry"])]
    shown = tuple(column for column in DETAILS if group[column].notna().any())
    value = _medians(group, rows, shown)
    where = _where(group, _MACHINE)
    return Table(
        suite=scores.name,
        kind="detail",
        title=f"{scores.name}: costs in detail on {where}",
        caption=captions.joined("Medians over the cases done, in the unit that a column names. Blank: not measured.", split),
        cells=text_cells(rows, {column.replace("_", " "): figures(value[column]) for column in shown}),
        data=tidy(
            scores,
            f"costs in detail on {where}",
            rows,
            {column: (value[column], _unit(column)) for column in shown},
            of_cell={},
        ),
        metric=scores.metric,
    )


def _unit(column: str) -> str:
    return next((unit for part, unit in _NAMED.items() if part in column), "")


def _where(group: pd.DataFrame, by: tuple[str, ...]) -> str:
    """Machine and precision of a group, and its batch size where it has one of its own, in words."""
    first = {column: None if group[column].isna().iloc[0] else str(group[column].iloc[0]) for column in by}
    nouns = {"cores": "core", "threads": "thread", "concurrent_cases": "case at once"}
    many = {"case at once": "cases at once"}
    counted = [
        f"{first[column]} {noun if first[column] == '1' else many.get(noun, f'{noun}s')}"
        for column, noun in nouns.items()
        if first[column] and not (column == "concurrent_cases" and first[column] == "1")
    ]
    host = ", ".join(part for part in (first["cpu"], *counted) if part)
    together = f"{first['devices']} x " if first["devices"] else ""
    said = f"{together}{first['device']}{f' ({host})' if host else ''}, {first['precision']}"
    if "batch" not in by:
        return said
    return f"{said}, batch {first['batch']}" if first["batch"] else f"{said}, no batches"
