"""Negative transfer that an average hides: in pairs, single runs, classes, groups, and previously correct samples."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from tlbench.reports import estimates
from tlbench.reports.frames import latest_records
from tlbench.reports.published_levels import LevelComparison, level_comparisons, level_sentence
from tlbench.reports.score_cube import ScoreCube, cube_values, score_cube
from tlbench.reports.statistics import intervals
from tlbench.reports.statistics.intervals import Array, Estimate
from tlbench.reports.table import (
    STAR,
    Table,
    bounds,
    count_texts,
    estimate_texts,
    mark_columns,
    number_text,
    text_cells,
    tidy,
)
from tlbench.reports.tables import captions, short_captions
from tlbench.reports.tables.scores import baselines, new_domains_bounds, new_domains_texts
from tlbench.reports.tables.subgroups import Subgroups, subgroup_deltas
from tlbench.suite import Suite

COLLAPSE_RULE = "runs no better than chance, with a mean class accuracy of at most 1 / classes or an R2 of at most 0"
"""The rule by which a run has collapsed, in words."""

_FLIPS = ("negative_flips", "positive_flips", "flips_floor")


def negative_transfer(frame: pd.DataFrame, flips: pd.DataFrame | None = None, suites: Iterable[Suite] = ()) -> list[Table]:
    """The tables of negative transfer of one suite, one for each of its `baselines`.

    `flips` are those of `reports.negative_flips`; without them their columns are blank. `suites` are those of
    `reports.tables`.
    """
    scores, records = score_cube(frame), latest_records(frame)
    levels = level_comparisons(scores, records, suites)
    return [
        _table(scores, (baseline, name), _measure(scores, records, baseline, flips), levels)
        for baseline, name in baselines(frame, scores)
    ]


@dataclass(frozen=True, eq=False)
class _WorstRuns:
    """The single run with the lowest gain of each entry: its pair, its seed and its delta."""

    pair_M: Array
    seed_M: Array
    delta_M: Array


@dataclass(frozen=True, eq=False)
class _NegativeTransfer:
    """What the table shows of the M entries other than the baseline, NaN where it can't be computed.

    `better_M` and `worse_M` are the shares of pairs with a gain and with a loss, in per cent. `collapsed_M` counts collapsed
    runs, `collapsed_baseline` says in words how many of the baseline's have. `improvement_M` is the probability of
    improvement, `flips` the means of flips in per cent.
    """

    cube: ScoreCube
    mean: Estimate
    new_domains: Estimate
    gain_MP: Array
    better_M: Array
    worse_M: Array
    worst_runs: _WorstRuns
    collapsed_M: Array
    collapsed_baseline: str
    improvement_M: Array
    classes: Subgroups
    groups: Subgroups
    flips: dict[str, Array]


def _measure(scores: ScoreCube, records: pd.DataFrame, baseline: str, flips: pd.DataFrame | None) -> _NegativeTransfer:
    deltas = scores.minus(baseline)
    mean = estimates.mean_over_pairs(deltas)
    complete_M = np.isfinite(mean.mean)
    gain_MP = deltas.direction * intervals.over_seeds(deltas.values).mean
    better_M, worse_M = (
        np.where(complete_M, 100 * (sign * gain_MP > deltas.floor_P).mean(axis=1), np.nan) for sign in (1.0, -1.0)
    )
    base_M = scores.entries == baseline
    base_PS = scores.values[base_M][0] if base_M.any() else np.full(scores.values.shape[1:], np.nan)
    collapsed_M = collapsed(scores, records)
    return _NegativeTransfer(
        cube=deltas,
        mean=mean,
        new_domains=estimates.mean_for_new_domains(deltas),
        gain_MP=gain_MP,
        better_M=better_M,
        worse_M=worse_M,
        worst_runs=_worst_runs(deltas, complete_M),
        collapsed_M=collapsed_M[~base_M],
        collapsed_baseline="".join(count_texts(collapsed_M[base_M], scores.values[0].size)),
        improvement_M=intervals.probability_of_improvement(
            scores.direction * scores.values[~base_M], scores.direction * base_PS, scores.floor_P
        ),
        classes=subgroup_deltas(scores, records, baseline, "per_class"),
        groups=subgroup_deltas(scores, records, baseline, "per_group"),
        flips=_mean_flips(deltas, baseline, flips),
    )


def _worst_runs(deltas: ScoreCube, complete_M: Array) -> _WorstRuns:
    gain_MN = (deltas.direction * deltas.values).reshape(len(deltas.entries), -1)
    worst_M = np.argmin(np.where(np.isnan(gain_MN), np.inf, gain_MN), axis=1)
    return _WorstRuns(
        pair_M=deltas.pairs[worst_M // len(deltas.seeds)],
        seed_M=deltas.seeds[worst_M % len(deltas.seeds)],
        delta_M=np.where(complete_M, deltas.direction * gain_MN[np.arange(len(worst_M)), worst_M], np.nan),
    )


def _table(
    scores: ScoreCube, against: tuple[str, str], measured: _NegativeTransfer, levels: Sequence[LevelComparison]
) -> Table:
    """The table of negative transfer against one baseline; `against` is the baseline and the name of the delta."""
    (baseline, name), cells = against, _cells(measured)
    level = level_sentence(scores, levels, baseline)
    marks = {"worst class": measured.classes.worst_marks(), "worst group": measured.groups.worst_marks()}
    return Table(
        suite=scores.name,
        kind="negative_transfer",
        title=f"{scores.name}: negative transfer against {baseline}",
        caption=captions.join_sentences(level, _caption(measured, baseline)),
        line=short_captions.negative_line(measured.cube, baseline),
        notes=captions.join_sentences(level, _notes(measured, baseline)),
        cells=cells,
        data=_data(measured, f"negative transfer, {name} against {baseline}"),
        metric=scores.metric,
        marks=mark_columns(cells, marks),
        published=tuple(level for level in levels if level.level.entry == baseline),
    )


def _caption(measured: _NegativeTransfer, baseline: str) -> str:
    deltas = measured.cube
    of_baseline = f" ({baseline}: {measured.collapsed_baseline})" if measured.collapsed_baseline else ""
    return captions.join_sentences(
        f"Deltas in {deltas.delta_unit}, paired by pair and seed.",
        captions.interval_of_means(deltas, "mean delta"),
        captions.single_runs(deltas),
        captions.new_domains(deltas),
        "Worse %: share of pairs with a loss. Worst run: its pair, #seed and delta.",
        f"Collapsed: {COLLAPSE_RULE}{of_baseline}.",
        "P(better): probability that a run outperforms a run of the baseline on the same pair (Agarwal et al. 2021).",
        f"Worst class{' and group' if measured.groups.names else ''}: lowest mean delta of accuracy, in percentage points; "
        f"*: significantly worse ({captions.SIGNIFICANCE}).",
        _flips_sentence(measured.flips, baseline),
        captions.incomplete_entries(deltas, np.isfinite(measured.gain_MP), "values"),
    )


def _notes(measured: _NegativeTransfer, baseline: str) -> str:
    """What is particular to these records: shared draws, copied runs, what is missing."""
    deltas = measured.cube
    return captions.join_sentences(
        captions.shared_draws(deltas),
        captions.single_runs(deltas),
        f"Collapsed runs of {baseline}: {measured.collapsed_baseline}." if measured.collapsed_baseline else "",
        _flips_sentence(measured.flips, baseline) if np.isnan(measured.flips["negative_flips"]).all() else "",
        captions.incomplete_entries(deltas, np.isfinite(measured.gain_MP), "values"),
    )


def _cells(measured: _NegativeTransfer) -> pd.DataFrame:
    deltas, worst = measured.cube, measured.worst_runs
    return text_cells(
        deltas.entries,
        {
            "mean delta": estimate_texts(measured.mean, deltas.decimals, signed=True),
            **new_domains_texts(deltas, measured.new_domains),
            "worse %": _rounded(measured.worse_M, 0),
            "worst run": [
                "" if np.isnan(delta) else f"{pair} #{seed} {number_text(delta, deltas.decimals, signed=True)}"
                for pair, seed, delta in zip(worst.pair_M, worst.seed_M, worst.delta_M, strict=True)
            ],
            "collapsed": count_texts(measured.collapsed_M, deltas.values[0].size),
            "P(better)": _rounded(measured.improvement_M, 2),
            "worst class": _worst_texts(measured.classes),
            **({"worst group": _worst_texts(measured.groups)} if measured.groups.names else {}),
            "flips %": _rounded(measured.flips["negative_flips"], 1),
            "floor %": _rounded(measured.flips["flips_floor"], 1),
        },
    )


def _data(measured: _NegativeTransfer, table: str) -> pd.DataFrame:
    deltas, worst, unit = measured.cube, measured.worst_runs, measured.cube.delta_unit
    (class_M, class_delta_M), (group_M, group_delta_M) = measured.classes.worst(), measured.groups.worst()
    data = tidy(
        deltas,
        table,
        deltas.entries,
        of_entry={
            **bounds(measured.mean, unit),
            **new_domains_bounds(measured.new_domains, unit),
            "share_better": (measured.better_M, "per cent"),
            "share_worse": (measured.worse_M, "per cent"),
            "worst_seed": (worst.delta_M, unit),
            "collapsed": (measured.collapsed_M, "runs"),
            "probability_of_improvement": (measured.improvement_M, "probability"),
            "worst_class": (class_delta_M, "percentage points"),
            "worst_group": (group_delta_M, "percentage points"),
            **{quantity: (measured.flips[quantity], "per cent") for quantity in _FLIPS},
        },
        of_cell={},
    )
    subgroups: dict[str, Sequence[str | None]] = {"worst_class": class_M, "worst_group": group_M}
    subgroups["worst_seed"] = [str(seed) for seed in worst.seed_M]
    for quantity, names in subgroups.items():
        name_of = dict(zip(deltas.entries, names, strict=True))
        data["subgroup"] = data["subgroup"].where(data["quantity"] != quantity, data["entry"].map(name_of))
    pair_of = dict(zip(deltas.entries, worst.pair_M, strict=True))
    data["pair"] = data["pair"].where(data["quantity"] != "worst_seed", data["entry"].map(pair_of))
    return data


def collapsed(scores: ScoreCube, records: pd.DataFrame) -> Array:
    """The number of collapsed runs of each entry (M,), by `COLLAPSE_RULE`; NaN where a run is missing or was not measured.

    A classifier that predicts one class throughout is exactly at chance in mean class accuracy.
    """
    with_chance = records.assign(chance=1 / records["classes"].astype("float64"))
    accuracy, chance = (cube_values(scores, with_chance, column) for column in ("mean_class_accuracy", "chance"))
    r2 = cube_values(scores, with_chance, "r2")
    collapsed_MPS = (accuracy <= chance + 1e-9) | (r2 <= 0)
    measured_MPS = np.isfinite(accuracy) | np.isfinite(r2)
    return np.where(measured_MPS.all(axis=(1, 2)), collapsed_MPS.sum(axis=(1, 2)), np.nan)


def _worst_texts(subgroups: Subgroups) -> list[str]:
    """The worst subgroup of each entry, as in "cat: -30.0 *"."""
    names, delta_M = subgroups.worst()
    return [
        "" if name is None else f"{name}: {number_text(delta, signed=True)}" + STAR * bool(mark)
        for name, delta, mark in zip(names, delta_M.tolist(), subgroups.worst_marks(), strict=True)
    ]


def _mean_flips(deltas: ScoreCube, baseline: str, flips: pd.DataFrame | None) -> dict[str, Array]:
    """The means of flips (M,) over pairs and seeds, in per cent; NaN where a run has no predictions to compare."""
    blank = {quantity: np.full(len(deltas.entries), np.nan) for quantity in _FLIPS}
    if flips is None:
        return blank
    of_suite = (flips["suite"] == deltas.suite) & (flips["suite_version"] == deltas.version) & (flips["against"] == baseline)
    in_cube = flips["entry"].isin(deltas.entries) & flips["pair"].isin(deltas.pairs) & flips["seed"].isin(deltas.seeds)
    selected = flips[of_suite & in_cube]
    if selected.empty:
        return blank
    values = {quantity: 100 * cube_values(deltas, selected.assign(status="done"), quantity) for quantity in _FLIPS}
    return {
        quantity: np.where(np.isfinite(value_MPS).all(axis=(1, 2)), value_MPS.mean(axis=(1, 2)), np.nan)
        for quantity, value_MPS in values.items()
    }


def _flips_sentence(flips: dict[str, Array], baseline: str) -> str:
    if np.isnan(flips["negative_flips"]).all():
        return "Flips %: unknown, because predictions are not on file."
    floor = f"floor %: the same between two seeds of {baseline}"
    missing = "no floor, because seeds may score different samples or there is only one seed"
    known = np.isfinite(flips["flips_floor"]).any()
    return (
        f"Flips %: scored samples that {baseline} classifies correctly and the method does not; {floor if known else missing}."
    )


def _rounded(values: Array, decimals: int) -> list[str]:
    return ["" if np.isnan(value) else f"{value:.{decimals}f}" for value in values.tolist()]
