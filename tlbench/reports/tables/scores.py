"""The tables of scores: accuracy, and the deltas that show where transfer helps and where it hurts."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pandas as pd

from tlbench.reports.frames import latest, latest_done
from tlbench.reports.score_cube import Cube, cube
from tlbench.reports.statistics import intervals, moderated, planning
from tlbench.reports.statistics.intervals import Array, Estimate
from tlbench.reports.table import (
    VERDICTS,
    Quantities,
    Table,
    best_two,
    bounds,
    mark_best,
    number,
    pair_texts,
    seed_counts,
    text_cells,
    texts,
    tidy,
)
from tlbench.reports.tables import captions


def accuracy(frame: pd.DataFrame, half_width: float | None = None) -> Table:
    """The suite's metric: mean over pairs, interquartile mean and rank, then every pair.

    `half_width` is one that the reader wants; the caption says how many seeds it takes. Takes the frame of one suite; a
    TlbenchError says what else was in it.
    """
    scores = cube(frame)
    cell, mean = intervals.over_seeds(scores.values), intervals.these_pairs(scores.values)
    new = intervals.new_domains(scores.values, scores.domains)
    middle_R, rank_R = intervals.interquartile_mean(scores.values), intervals.ranks(mean.mean, scores.better)
    cells = text_cells(
        scores.entries,
        {
            "mean": texts(mean, scores.decimals),
            **new_domains_texts(scores, new),
            "IQM": texts(Estimate(middle_R, np.full_like(middle_R, np.nan)), scores.decimals),
            "rank": ["" if np.isnan(place) else f"{place:g}" for place in rank_R],
        }
        | pair_texts(scores, cell),
    )
    best = {"mean": mean.mean, "IQM": middle_R} | {str(pair): of for pair, of in zip(scores.pairs, cell.mean.T, strict=True)}
    unit = scores.measure.unit
    return Table(
        suite=scores.name,
        kind="accuracy",
        title=f"{scores.name}: {scores.titled}",
        caption=captions.joined(
            f"{captions.unit(scores)}; pairs are source:target.",
            captions.intervals(scores, "mean"),
            captions.new_domains(scores),
            "IQM: mean of the middle half of all runs.",
            captions.SELECTION,
            captions.incomplete(scores, np.isfinite(cell.mean), "mean and rank"),
            captions.ended(latest_done(frame)),
            captions.mixtures(latest_done(frame)),
            planning.planning_text(scores, "mean", half_width),
        ),
        cells=cells,
        data=tidy(
            scores,
            "accuracy",
            scores.entries,
            of_row={
                **bounds(mean, unit),
                **new_domains_bounds(new, unit),
                "iqm": (middle_R, unit),
                "rank": (rank_R, "rank"),
            },
            of_cell={**bounds(cell, unit), **seed_counts(scores)},
        ),
        metric=scores.metric,
        marks=mark_best(cells, {name: best_two(values_R, scores.better) for name, values_R in best.items()}),
    )


def new_domains_texts(scores: Cube, new: Estimate) -> dict[str, list[str]]:
    """The column of half-widths for new domains; no column where they are not estimable."""
    if np.isnan(new.half).all():
        return {}
    return {"new domains": ["" if np.isnan(half) else f"± {half:.{scores.decimals}f}" for half in new.half.tolist()]}


def new_domains_bounds(new: Estimate, unit: str) -> Quantities:
    """The interval for new domains as quantities."""
    mean, half = new
    return {"new_domains_low": (mean - half, unit), "new_domains_high": (mean + half, unit)}


def baselines(frame: pd.DataFrame, scores: Cube) -> Iterator[tuple[str, str]]:
    """The rows that deltas are taken against, with the name of the delta, where another row stands beside them.

    The suite's baseline, and each `target_only` row where target labels are granted: against `target_only` it is called
    transfer delta, against anything else adaptation delta.
    """
    alone = {"target_only", *frame.loc[frame["method"] == "target_only", "entry"]}
    against = [] if (baseline := latest(frame, "baseline")) is None else [str(baseline)]
    if latest(frame, "target_labels"):
        against += [str(row) for row in scores.entries if row in alone and row not in against]
    for row in against:
        if (scores.entries != row).any():
            yield row, "transfer delta" if row in alone else "adaptation delta"


def transfer(frame: pd.DataFrame, half_width: float | None = None) -> list[Table]:
    """A table of deltas for each of the `baselines` of one suite's frame. No table for a suite without any."""
    scores = cube(frame)
    return [_delta(frame, scores, row, name, half_width) for row, name in baselines(frame, scores)]


def _delta(frame: pd.DataFrame, scores: Cube, baseline: str, name: str, half_width: float | None) -> Table:
    """Method minus baseline, same pair, same seed, in the metric's points."""
    deltas = scores.minus(baseline)
    unit, better = deltas.unit_of_deltas, deltas.better
    found, mean = moderated.marks(deltas.values, better), intervals.these_pairs(deltas.values)
    cell = found.estimate
    verdict_R = intervals.verdicts(mean, better)
    whole_R, gain_RP = np.isfinite(mean.mean), better * cell.mean
    hurt_R = np.where(whole_R, (gain_RP < -intervals.NOISE).sum(axis=1), np.nan)
    helped_R = np.where(whole_R, (gain_RP > intervals.NOISE).sum(axis=1), np.nan)
    sure = {
        side: np.where(whole_R & np.isfinite(found.mark).all(axis=1), (found.mark == sign).sum(axis=1), np.nan)
        for side, sign in (("hurt", -1.0), ("helped", 1.0))
    }
    worst_R = np.argmin(np.where(np.isnan(gain_RP), np.inf, gain_RP), axis=1)
    low_R = np.where(whole_R, cell.mean[np.arange(len(worst_R)), worst_R], np.nan)
    worst = dict(zip(deltas.entries, deltas.pairs[worst_R], strict=True))
    cells = text_cells(
        deltas.entries,
        {
            "mean delta": texts(mean, deltas.decimals, signed=True),
            "verdict": [VERDICTS.get(verdict, "") for verdict in verdict_R],
            "pairs helped": _shares(helped_R, sure["helped"], len(deltas.pairs)),
            "pairs hurt": _shares(hurt_R, sure["hurt"], len(deltas.pairs)),
            "worst pair": [
                "" if np.isnan(low) else f"{worst[row]} {number(low, deltas.decimals, signed=True)}"
                for row, low in zip(deltas.entries, low_R, strict=True)
            ],
        }
        | pair_texts(deltas, cell, found.mark),
    )
    data = tidy(
        deltas,
        f"{name} against {baseline}",
        deltas.entries,
        of_row={
            **bounds(mean, unit),
            "verdict": (verdict_R, "1 helps, 0 undecided, -1 hurts"),
            "pairs_helped": (helped_R, "pairs"),
            "pairs_hurt": (hurt_R, "pairs"),
            "pairs_surely_helped": (sure["helped"], "pairs"),
            "pairs_surely_hurt": (sure["hurt"], "pairs"),
            "worst": (low_R, unit),
        },
        of_cell={
            **bounds(cell, unit),
            **seed_counts(deltas),
            "mark": (found.mark, "1 helps, 0 undecided, -1 hurts"),
            "p": (found.p, "p, adjusted"),
        },
    )
    gone = "" if (scores.entries == baseline).any() else f"There is no record of {baseline} yet, so every delta is blank."
    of_pairs = {str(pair): [VERDICTS.get(mark, "") for mark in of] for pair, of in zip(deltas.pairs, found.mark.T, strict=True)}
    best = [f"{mark} {verdict}".strip() for mark, verdict in zip(best_two(mean.mean, better), cells["verdict"], strict=True)]
    return Table(
        suite=scores.name,
        kind="transfer",
        title=f"{scores.name}: {name} against {baseline}",
        caption=captions.joined(
            f"{scores.titled} minus that of {baseline}, same pair, same seed, in {unit}.",
            "" if scores.measure.higher_is_better else "Lower is better: a delta below zero is a gain.",
            captions.intervals(deltas, "mean delta", deltas=True),
            captions.verdicts(deltas),
            captions.reach(deltas),
            captions.SELECTION,
            gone or captions.incomplete(deltas, np.isfinite(cell.mean), "mean delta and verdict"),
            captions.ended(latest_done(frame)),
            captions.mixtures(latest_done(frame)),
            planning.planning_text(deltas, "mean delta", half_width),
        ),
        cells=cells,
        data=data.assign(pair=data["pair"].where(data["quantity"] != "worst", data["entry"].map(worst))),
        metric=scores.metric,
        marks=mark_best(cells, {"mean delta": best, "verdict": cells["verdict"].to_list()} | of_pairs),
    )


def _shares(count_R: Array, sure_R: Array, pairs: int) -> list[str]:
    """As in "7 / 12, 5 *": so many of the pairs, and so many of those surely, if any."""
    return [
        "" if np.isnan(count) else f"{count:.0f} / {pairs}" + (f", {sure:.0f} *" if sure > 0 else "")
        for count, sure in zip(count_R.tolist(), sure_R.tolist(), strict=True)
    ]
