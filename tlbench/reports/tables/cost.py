"""The tables of costs: throughput, time, memory and energy, and the accuracy that is gained for them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from tlbench.reports import estimates
from tlbench.reports.frames import DETAILS, latest_records, latest_value
from tlbench.reports.score_cube import ScoreCube, score_cube
from tlbench.reports.statistics import intervals
from tlbench.reports.statistics.intervals import Array, Estimate
from tlbench.reports.statistics.ties import tied
from tlbench.reports.table import Table, estimate_texts, mark_columns, text_cells, three_digits, tidy
from tlbench.reports.tables import captions, position_columns, short_captions, size_columns

_HARDWARE = ("device", "devices", "cpu", "cores", "threads", "concurrent_cases")
MACHINE = (*_HARDWARE, "precision", *captions.SOFTWARE)
_MACHINE_AND_BATCH = (*MACHINE, "batch")
_UNITS = {
    "train_samples_per_second": "samples/s",
    "predict_samples_per_second": "samples/s",
    "train_seconds": "seconds",
    "peak_memory_bytes": "bytes",
    "energy_joules": "joules",
}
_OTHER_DETAILS = tuple(name for name in DETAILS if name not in size_columns.SIZES)
_UNIT_OF_NAME = {
    "flops_per_sample": "FLOPs",
    "flops_per_second": "FLOPs/s",
    "steps": "steps",
    "seconds": "seconds",
    "bytes": "bytes",
    "parameters": "parameters",
}
"""Part of a quantity's name -> its unit; the first that matches counts."""
_MIB, _GIB = 2**20, 2**30


def throughput(frame: pd.DataFrame) -> list[Table]:
    """The tables of throughput of one suite, one per machine, precision, software version and batch size.

    The values are medians over the finished cases, and the entries are sorted as in the table of accuracy. A case that ran on
    two machines counts on both.
    """
    scores = score_cube(frame)
    groups = machine_groups(frame, _MACHINE_AND_BATCH)
    return [_throughput_table(scores, group, groups) for group in groups]


def pareto_table(frame: pd.DataFrame) -> list[Table]:
    """The tables of accuracy against cost of one suite, one per machine and precision: gain per minute and the Pareto front.

    Batch sizes share a table, because it compares seconds and not samples per second. Machines with fewer than two entries
    have no table.
    """
    scores = score_cube(frame)
    baseline = latest_value(frame, "baseline")
    groups = machine_groups(frame, MACHINE)
    tables = [_frontier_table(scores, group, None if baseline is None else str(baseline), groups) for group in groups]
    return [table for table in tables if len(table.cells) > 1]


def cost_details(frame: pd.DataFrame) -> list[Table]:
    """The tables of all other measured costs of one suite, as `throughput`; no table where none was measured."""
    scores = score_cube(frame)
    groups = [
        group for group in machine_groups(frame, _MACHINE_AND_BATCH) if group[list(_OTHER_DETAILS)].notna().any(axis=None)
    ]
    return [_details_table(scores, group, groups) for group in groups]


def pareto_front(gain_M: Array, cost_M: Array) -> Array:
    """Whether each entry (M,) is on the Pareto front: 1.0 or 0.0, NaN where its gain or cost is missing.

    An entry is dominated, and not on the front, if another has at least its gain at no more than its cost and is better in
    one of the two.
    """
    measured_M = np.isfinite(gain_M) & np.isfinite(cost_M)
    with np.errstate(invalid="ignore"):
        at_least_MM = (gain_M >= gain_M[:, None]) & (cost_M <= cost_M[:, None])
        better_MM = (gain_M > gain_M[:, None]) | (cost_M < cost_M[:, None])
    dominated_M = np.asarray((at_least_MM & better_MM).any(axis=1))
    return np.where(measured_M, np.where(dominated_M, 0.0, 1.0), np.nan)


def machine_groups(frame: pd.DataFrame, by: tuple[str, ...]) -> list[pd.DataFrame]:
    """The finished cases by machine, precision, software version and batch size."""
    records = latest_records(frame, by=by)
    records = records[records["status"] == "done"]
    return [group for _, group in records.groupby(list(by), sort=False, dropna=False)]


def _split_note(groups: list[pd.DataFrame]) -> str:
    """The sentence that counts the machines, precisions and software versions of a suite, where there are several."""
    counts = []
    for columns, noun in ((_HARDWARE, "machine"), (("precision",), "precision"), (captions.SOFTWARE, "software version")):
        kinds = {tuple(map(str, group[list(columns)].iloc[0])) for group in groups}
        if len(kinds) > 1:
            counts.append(captions.plural(len(kinds), noun))
    listed = " and ".join(filter(None, (", ".join(counts[:-1]), *counts[-1:])))
    return f"The records are from {listed}, each with a table of its own." if counts else ""


def medians_of(group: pd.DataFrame, entries: pd.Index[str], columns: tuple[str, ...]) -> dict[str, Array]:
    """The medians (M,) of some columns over the cases of each entry."""
    by_entry = group.astype(dict.fromkeys(columns, "float64")).groupby("entry", sort=False)
    medians = by_entry[list(columns)].median().reindex(entries)
    return {column: medians[column].to_numpy(dtype=np.float64) for column in columns}


def _memory_and_energy(medians: dict[str, Array]) -> dict[str, list[str]]:
    """The columns of peak memory and, where it was measured, of energy."""
    bytes_M, joules_M = medians["peak_memory_bytes"], medians["energy_joules"]
    unit, factor = ("GiB", _GIB) if bool((bytes_M >= _GIB).any()) else ("MiB", _MIB)
    columns = {f"peak memory {unit}": three_digits(bytes_M / factor)}
    return columns | ({"energy J": three_digits(joules_M)} if np.isfinite(joules_M).any() else {})


def _throughput_table(scores: ScoreCube, group: pd.DataFrame, groups: list[pd.DataFrame]) -> Table:
    entries = scores.entries[scores.entries.isin(group["entry"])]
    rates = position_columns.position_rates(group, entries)
    medians = medians_of(group, entries, (*_UNITS, *size_columns.SIZES)) | rates
    sizes = size_columns.size_columns(medians)
    cases_M = group.groupby("entry", sort=False).size().reindex(entries).to_numpy()
    has_energy = bool(np.isfinite(medians["energy_joules"]).any())
    has_blanks = any(np.isnan(medians[column]).any() for column in _UNITS if column != "energy_joules")
    columns = {
        "cases": [str(cases) for cases in cases_M],
        "train samples/s": three_digits(medians["train_samples_per_second"]),
        "predict samples/s": three_digits(medians["predict_samples_per_second"]),
        **position_columns.position_columns(rates),
        "train seconds": three_digits(medians["train_seconds"]),
        **_memory_and_energy(medians),
        **sizes,
    }
    machine = machine_text(group, groups, _MACHINE_AND_BATCH)
    measured = {name: unit for name, (_, unit, _) in size_columns.SIZES.items() if np.isfinite(medians[name]).any()}
    units = _UNITS | measured | dict.fromkeys(rates, "positions/s")
    of_entry = {"cases": (cases_M, "cases")} | {quantity: (medians[quantity], unit) for quantity, unit in units.items()}
    return Table(
        suite=scores.name,
        kind="throughput",
        title=f"{scores.name}: throughput on {machine}",
        caption=captions.join_sentences(
            "Medians over the finished cases; comparable within this table only (one machine, precision, software version and "
            "batch size).",
            _split_note(groups),
            "Train seconds of a shallow method: the time of its fit." if (group["kind"] == "shallow").any() else "",
            "Blank: not measured." if has_blanks else "",
            "" if has_energy else "Energy: not readable on this machine.",
            *(text for text, shown in ((size_columns.CAPTION, sizes), (position_columns.CAPTION, rates)) if shown),
            captions.mixed_inputs(group),
            captions.mixed_provenance(group),
        ),
        line=short_captions.costs_line(),
        notes=captions.join_sentences(
            _split_note(groups), "Blank: not measured." if has_blanks else "", captions.mixed_inputs(group)
        ),
        cells=text_cells(entries, columns),
        data=tidy(scores, f"throughput on {machine}", entries, of_entry, of_cell={}),
        metric=scores.metric,
    )


@dataclass(frozen=True, eq=False)
class _Frontier:
    """Accuracy against cost of M entries: means over pairs, medians of costs, and which entries are on the Pareto front."""

    entries: pd.Index[str]
    medians: dict[str, Array]
    score_M: Array
    delta: Estimate
    per_minute_M: Array
    front_M: Array


def _frontier(scores: ScoreCube, group: pd.DataFrame, baseline: str | None) -> _Frontier:
    entries = scores.entries[scores.entries.isin(group["entry"])]
    medians = medians_of(group, entries, tuple(_UNITS))
    score_M = estimates.mean_over_pairs(scores).mean[scores.entries.get_indexer(entries)]
    delta = Estimate(np.full(len(entries), np.nan), np.full(len(entries), np.nan))
    if baseline is not None and baseline in scores.entries and len(scores.entries) > 1:
        deltas = scores.minus(baseline)
        estimate, index_M = estimates.mean_over_pairs(deltas), deltas.entries.get_indexer(entries)
        delta = Estimate(*(np.where(index_M >= 0, values_M[index_M], np.nan) for values_M in estimate))
    gain_M = scores.direction * delta.mean
    return _Frontier(
        entries=entries,
        medians=medians,
        score_M=score_M,
        delta=delta,
        per_minute_M=np.where(gain_M > scores.floor, gain_M / (medians["train_seconds"] / 60), np.nan),
        front_M=pareto_front(scores.direction * tied(score_M, scores.floor), medians["train_seconds"]),
    )


def _frontier_table(scores: ScoreCube, group: pd.DataFrame, baseline: str | None, groups: list[pd.DataFrame]) -> Table:
    frontier = _frontier(scores, group, baseline)
    minute = "CPU-minute" if str(group["device"].iloc[0]) == "cpu" else "GPU-minute"
    points = "points" if scores.measure.unit == "per cent" else scores.measure.unit
    machine = machine_text(group, groups, MACHINE)
    no_margin_M = np.full(len(frontier.entries), np.nan)
    cells = text_cells(
        frontier.entries,
        {
            scores.measure.title: estimate_texts(Estimate(frontier.score_M, no_margin_M), scores.decimals),
            "mean delta": estimate_texts(frontier.delta, scores.decimals, signed=True),
            "train seconds": three_digits(frontier.medians["train_seconds"]),
            **_memory_and_energy(frontier.medians),
            f"{points} per {minute}": three_digits(frontier.per_minute_M),
            "Pareto front": ["yes" if on == 1 else "" for on in frontier.front_M],
        },
    )
    of_entry = {
        "score": (frontier.score_M, scores.measure.unit),
        "delta": (frontier.delta.mean, scores.delta_unit),
        **{quantity: (frontier.medians[quantity], unit) for quantity, unit in _UNITS.items()},
        "points_per_minute": (frontier.per_minute_M, f"{points} per {minute}"),
        "front": (frontier.front_M, "1 on the Pareto front"),
    }
    gain = (
        f"{points.capitalize()} per {minute}: mean gain over {baseline} divided by the median training time of a case; "
        "blank without a gain."
    )
    return Table(
        suite=scores.name,
        kind="frontier",
        title=f"{scores.name}: {scores.measure.title} against cost on {machine}",
        caption=captions.join_sentences(
            f"{captions.unit(scores)}, means over pairs and seeds; costs are medians over the finished cases.",
            captions.interval_of_means(scores, "mean delta") if baseline else "",
            gain if baseline else "",
            "Pareto front: no other entry is at least as good in mean and train seconds and better in one of them.",
            _split_note(groups),
            _incomplete(scores),
        ),
        line=short_captions.frontier_line(scores),
        notes=captions.join_sentences(_split_note(groups), _incomplete(scores)),
        cells=cells,
        data=tidy(scores, f"cost on {machine}", frontier.entries, of_entry, of_cell={}),
        metric=scores.metric,
        marks=mark_columns(cells, {"Pareto front": ["front" if on == 1 else "" for on in frontier.front_M]}),
    )


def _incomplete(scores: ScoreCube) -> str:
    """The sentence that names the entries without a mean and a place on the front."""
    return captions.incomplete_entries(scores, np.isfinite(intervals.over_seeds(scores.values).mean), "mean and front")


def _details_table(scores: ScoreCube, group: pd.DataFrame, groups: list[pd.DataFrame]) -> Table:
    entries = scores.entries[scores.entries.isin(group["entry"])]
    columns = tuple(column for column in _OTHER_DETAILS if group[column].notna().any())
    medians = medians_of(group, entries, columns)
    machine = machine_text(group, groups, _MACHINE_AND_BATCH)
    return Table(
        suite=scores.name,
        kind="detail",
        title=f"{scores.name}: costs in detail on {machine}",
        caption=captions.join_sentences(
            "Medians over the finished cases, in the unit that a column names. Blank: not measured.", _split_note(groups)
        ),
        line=short_captions.costs_line(),
        notes=captions.join_sentences("Blank: not measured.", _split_note(groups)),
        cells=text_cells(entries, {column.replace("_", " "): three_digits(medians[column]) for column in columns}),
        data=tidy(
            scores,
            f"costs in detail on {machine}",
            entries,
            {column: (medians[column], _unit(column)) for column in columns},
            of_cell={},
        ),
        metric=scores.metric,
    )


def _unit(column: str) -> str:
    return next((unit for name, unit in _UNIT_OF_NAME.items() if name in column), "")


def machine_text(group: pd.DataFrame, groups: list[pd.DataFrame], by: tuple[str, ...]) -> str:
    """The machine and the precision of a group in words, its software where groups differ, and its batch size if it has one."""
    first = {column: None if group[column].isna().iloc[0] else str(group[column].iloc[0]) for column in by}
    nouns = {"cores": ("core", "cores"), "threads": ("thread", "threads"), "concurrent_cases": ("", "cases at once")}
    counts = [
        f"{first[column]} {one if first[column] == '1' else many}"
        for column, (one, many) in nouns.items()
        if first[column] and not (column == "concurrent_cases" and first[column] == "1")
    ]
    processor = ", ".join(text for text in (first["cpu"], *counts) if text)
    devices = f"{first['devices']} x " if first["devices"] else ""
    machine = f"{devices}{first['device']}{f' ({processor})' if processor else ''}, {first['precision']}"
    if len(captions.software_versions(pd.concat(groups))) > 1:
        machine = f"{machine}, {captions.software_versions(group)[0]}"
    if "batch" not in by:
        return machine
    return f"{machine}, batch {first['batch']}" if first["batch"] else f"{machine}, no batches"
