"""Where a method that helps on average does harm: in pairs, runs, classes, groups, or rows that were right before."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pandas as pd

from tlbench.reports.frames import latest_done
from tlbench.reports.score_cube import Cube, cube, placed_scores
from tlbench.reports.statistics import intervals
from tlbench.reports.statistics.intervals import Array
from tlbench.reports.table import (
    STAR,
    Table,
    bounds,
    counts,
    mark_best,
    number,
    text_cells,
    texts,
    tidy,
)
from tlbench.reports.tables import captions
from tlbench.reports.tables.scores import baselines, new_domains_bounds, new_domains_texts
from tlbench.reports.tables.subgroups import Subgroups, subgroup_deltas

_FLIPS = ("negative_flips", "positive_flips", "flips_floor")


def negative_transfer(frame: pd.DataFrame, flips: pd.DataFrame | None = None) -> list[Table]:
    """A table of what averages hide for each of the `baselines` of one suite's frame; `flips` are those of `reports.flips`."""
    scores, last = cube(frame), latest_done(frame)
    return [_harm(frame, scores, last, row, name, flips) for row, name in baselines(frame, scores)]


def _harm(frame: pd.DataFrame, scores: Cube, last: pd.DataFrame, baseline: str, name: str, flips: pd.DataFrame | None) -> Table:
    deltas = scores.minus(baseline)
    unit, better, rows = deltas.unit_of_deltas, deltas.better, deltas.entries
    mean = intervals.these_pairs(deltas.values)
    new = intervals.new_domains(deltas.values, deltas.domains)
    whole_R = np.isfinite(mean.mean)
    gain_RP = better * intervals.over_seeds(deltas.values).mean
    share = {
        side: np.where(whole_R, 100 * (sign * gain_RP > intervals.NOISE).mean(axis=1), np.nan)
        for side, sign in (("helped", 1.0), ("hurt", -1.0))
    }
    run_RN = (better * deltas.values).reshape(len(rows), -1)
    at_R = np.argmin(np.where(np.isnan(run_RN), np.inf, run_RN), axis=1)
    run_R = np.where(whole_R, better * run_RN[np.arange(len(rows)), at_R], np.nan)
    pair_R, seed_R = deltas.pairs[at_R // len(deltas.seeds)], deltas.seeds[at_R % len(deltas.seeds)]
    base_R = scores.entries == baseline
    base_PS = scores.values[base_R][0] if base_R.any() else np.full(scores.values.shape[1:], np.nan)
    chance_R = intervals.probability_of_improvement(better * scores.values[~base_R], better * base_PS)
    fallen_R, runs = collapsed(scores, last), scores.values[0].size
    collapsed_R, of_baseline = fallen_R[~base_R], counts(fallen_R[base_R], runs)
    classes, groups = (subgroup_deltas(scores, last, baseline, column) for column in ("per_class", "per_group"))
    (class_R, class_low_R), (group_R, group_low_R) = classes.worst(), groups.worst()
    flip = _flips(deltas, baseline, flips)
    cells = text_cells(
        rows,
        {
            "mean delta": texts(mean, deltas.decimals, signed=True),
            **new_domains_texts(deltas, new),
            "hurt %": _whole(share["hurt"]),
            "worst run": [
                "" if np.isnan(low) else f"{pair} #{seed} {number(low, deltas.decimals, signed=True)}"
                for pair, seed, low in zip(pair_R, seed_R, run_R, strict=True)
            ],
            "collapsed": counts(collapsed_R, runs),
            "P(better)": ["" if np.isnan(chance) else f"{chance:.2f}" for chance in chance_R],
            "worst class": _named(class_R, class_low_R, classes),
            **({"worst group": _named(group_R, group_low_R, groups)} if groups.names else {}),
            "flips %": _tenth(flip["negative_flips"]),
            "floor %": _tenth(flip["flips_floor"]),
        },
    )
    data = tidy(
        deltas,
        f"harm, {name} against {baseline}",
        rows,
        of_row={
            **bounds(mean, unit),
            **new_domains_bounds(new, unit),
            "share_helped": (share["helped"], "per cent"),
            "share_hurt": (share["hurt"], "per cent"),
            "worst_seed": (run_R, unit),
            "collapsed": (collapsed_R, "runs"),
            "probability_of_improvement": (chance_R, "probability"),
            "worst_class": (class_low_R, "percentage points"),
            "worst_group": (group_low_R, "percentage points"),
            **{quantity: (flip[quantity], "per cent") for quantity in _FLIPS},
        },
        of_cell={},
    )
    parted: dict[str, list[str | None]] = {"worst_class": class_R, "worst_group": group_R}
    parted["worst_seed"] = [str(seed) for seed in seed_R]
    for quantity, named in parted.items():
        of_row = dict(zip(rows, named, strict=True))
        data["part"] = data["part"].where(data["quantity"] != quantity, data["entry"].map(of_row))
    in_pair = data["entry"].map(dict(zip(rows, pair_R, strict=True)))
    data["pair"] = data["pair"].where(data["quantity"] != "worst_seed", in_pair)
    return Table(
        suite=scores.name,
        kind="harm",
        title=f"{scores.name}: harm behind the {name} against {baseline}",
        caption=captions.joined(
            f"Deltas in {unit}, paired by pair and seed.",
            captions.interval_of_means(deltas, "mean delta"),
            captions.new_domains(deltas),
            "Hurt %: share of pairs with a loss. Worst run: its pair, #seed and delta.",
            f"Collapsed: {COLLAPSE}" + (f" ({baseline}: {of_baseline[0]})." if any(of_baseline) else "."),
            "P(better): chance that a run beats one of the baseline on the same pair (Agarwal et al. 2021).",
            f"Worst class{' and group' if groups.names else ''}: lowest mean delta of accuracy, in percentage points; "
            f"a star: surely hurt, by {captions.MODERATED}.",
            _flips_said(flip, baseline),
            captions.incomplete(deltas, np.isfinite(gain_RP), "entries"),
        ),
        cells=cells,
        data=data,
        metric=scores.metric,
        marks=mark_best(cells, {"worst class": classes.worst_marks(), "worst group": groups.worst_marks()}),
    )


COLLAPSE = "runs no better than chance, that is a mean accuracy over the classes of at most 1 / classes, or an R2 of at most 0"
"""The rule by which a run has collapsed, in words."""


def collapsed(scores: Cube, last: pd.DataFrame) -> Array:
    """How many runs of each row (R,) have collapsed; NaN where a run is missing or was not measured so.

    A classifier that says one class for every row is exactly at chance in the mean over classes.
    """
    measured = last.assign(chance=1 / last["classes"].astype("float64"))
    share, chance = placed_scores(scores, measured, "mean_class_accuracy"), placed_scores(scores, measured, "chance")
    r2 = placed_scores(scores, measured, "r2")
    fallen = (share <= chance + 1e-9) | (r2 <= 0)
    known = np.isfinite(share) | np.isfinite(r2)
    return np.where(known.all(axis=(1, 2)), fallen.sum(axis=(1, 2)), np.nan)


def _named(part_R: Sequence[str | None], low_R: Array, of: Subgroups) -> list[str]:
    stars = [mark == "hurts" for mark in of.worst_marks()]
    return [
        "" if part is None else f"{part}: {number(low, signed=True)}" + STAR * star
        for part, low, star in zip(part_R, low_R.tolist(), stars, strict=True)
    ]


def _flips(deltas: Cube, baseline: str, flips: pd.DataFrame | None) -> dict[str, Array]:
    """Means (R,) in per cent over pairs and seeds; NaN where a run has no predictions to compare."""
    blank = {quantity: np.full(len(deltas.entries), np.nan) for quantity in _FLIPS}
    if flips is None:
        return blank
    of = (flips["suite"] == deltas.suite) & (flips["suite_version"] == deltas.version) & (flips["against"] == baseline)
    some = flips[of & flips["entry"].isin(deltas.entries) & flips["pair"].isin(deltas.pairs) & flips["seed"].isin(deltas.seeds)]
    if some.empty:
        return blank
    some = some.assign(status="done")
    return {
        quantity: np.where(whole_R, values.mean(axis=(1, 2)), np.nan)
        for quantity in _FLIPS
        for values in [100 * placed_scores(replace(deltas), some, quantity)]
        for whole_R in [np.isfinite(values).all(axis=(1, 2))]
    }


def _flips_said(flip: dict[str, Array], baseline: str) -> str:
    if np.isnan(flip["negative_flips"]).all():
        return "Flips %: not known, predictions are not on file."
    floor = f"the floor is what two seeds of {baseline} differ by" if np.isfinite(flip["flips_floor"]).any() else ""
    none = "no floor: seeds may score other rows, or there is but one"
    return f"Flips %: scored rows that {baseline} had right and the method has wrong; {floor or none}."


def _whole(values: Array) -> list[str]:
    return ["" if np.isnan(value) else f"{value:.0f}" for value in values.tolist()]


def _tenth(values: Array) -> list[str]:
    return ["" if np.isnan(value) else f"{value:.1f}" for value in values.tolist()]
