"""The tables of scores: accuracy, and the deltas that show where transfer helps and where it hurts."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd

from tlbench.reports import captions, statistics
from tlbench.reports.frames import Cube, counted, cube, latest
from tlbench.reports.table import Table, bounds, number, pair_texts, seed_counts, text_cells, texts, tidy

VERDICTS = {1.0: "helps", 0.0: "undecided", -1.0: "hurts"}
_METRICS = {"target_accuracy": "Target accuracy", "source_accuracy": "Source accuracy", "macro_f1": "Macro F1"}


def accuracy(frame: pd.DataFrame) -> Table:
    """The suite's metric in per cent: mean over pairs and rank, then every pair.

    Takes the frame of one suite; a TlbenchError says what else was in it.
    """
    scores = cube(frame)
    cell, mean = statistics.over_seeds(scores.values), statistics.these_pairs(scores.values)
    rank_R = statistics.ranks(mean.mean)
    rank = ["" if np.isnan(place) else f"{place:g}" for place in rank_R]
    return Table(
        suite=scores.name,
        kind="accuracy",
        title=f"{scores.name}: {_METRICS[scores.metric]}",
        caption=captions.joined(
            f"{_METRICS[scores.metric]} in per cent; pairs are source:target.",
            captions.intervals(scores, "mean"),
            captions.SELECTION,
            captions.incomplete(scores, np.isfinite(cell.mean), "mean and rank"),
            captions.ended(counted(frame)),
            captions.mixtures(counted(frame)),
        ),
        cells=text_cells(scores.rows, {"mean": texts(mean), "rank": rank} | pair_texts(scores, cell)),
        data=tidy(
            scores,
            "accuracy",
            scores.rows,
            of_row={**bounds(mean, "per cent"), "rank": (rank_R, "rank")},
            of_cell={**bounds(cell, "per cent"), **seed_counts(scores)},
        ),
    )


def transfer(frame: pd.DataFrame) -> list[Table]:
    """The delta against the suite's baseline, and against each `target_only` row where target labels are granted.

    Against `target_only` it is called transfer delta, against anything else adaptation delta. No table for a suite
    without a baseline, nor for one with no row beside it. Takes the frame of one suite.
    """
    scores = cube(frame)
    alone = {"target_only", *frame.loc[frame["method"] == "target_only", "row"]}
    against = [] if (baseline := latest(frame, "baseline")) is None else [str(baseline)]
    if latest(frame, "target_labels"):
        against += [str(row) for row in scores.rows if row in alone and row not in against]
    named = [(row, "transfer delta" if row in alone else "adaptation delta") for row in against]
    return [_delta(frame, scores, row, name) for row, name in named if (scores.rows != row).any()]


def _delta(frame: pd.DataFrame, scores: Cube, baseline: str, name: str) -> Table:
    """Method minus baseline, same pair, same seed, in per-cent points."""
    base = scores.rows == baseline
    base_PS = scores.values[base][0] if base.any() else np.full(scores.values.shape[1:], np.nan)
    deltas = replace(scores, rows=scores.rows[~base], values=scores.values[~base] - base_PS)
    cell, mean = statistics.over_seeds(deltas.values), statistics.these_pairs(deltas.values)
    verdict_R = statistics.verdicts(mean)
    whole_R, pairs = np.isfinite(mean.mean), len(deltas.pairs)
    hurt_R = np.where(whole_R, (cell.mean < -statistics.NOISE).sum(axis=1), np.nan)
    worst_R = np.argmin(np.where(np.isnan(cell.mean), np.inf, cell.mean), axis=1)
    low_R = np.where(whole_R, cell.mean[np.arange(len(worst_R)), worst_R], np.nan)
    worst = dict(zip(deltas.rows, deltas.pairs[worst_R], strict=True))
    text = {
        "mean delta": texts(mean, signed=True),
        "verdict": [VERDICTS.get(verdict, "") for verdict in verdict_R],
        "pairs hurt": ["" if np.isnan(hurt) else f"{hurt:.0f} / {pairs}" for hurt in hurt_R],
        "worst pair": [
            "" if np.isnan(low) else f"{worst[row]} {number(low, signed=True)}"
            for row, low in zip(deltas.rows, low_R, strict=True)
        ],
    }
    data = tidy(
        deltas,
        f"{name} against {baseline}",
        deltas.rows,
        of_row={
            **bounds(mean, "points"),
            "verdict": (verdict_R, "1 helps, 0 undecided, -1 hurts"),
            "pairs_hurt": (hurt_R, "pairs"),
            "worst": (low_R, "points"),
        },
        of_cell={**bounds(cell, "points"), **seed_counts(deltas)},
    )
    gone = "" if base.any() else f"There is no record of {baseline} yet, so every delta is blank."
    return Table(
        suite=scores.name,
        kind="transfer",
        title=f"{scores.name}: {name} against {baseline}",
        caption=captions.joined(
            f"{_METRICS[scores.metric]} minus that of {baseline}, same pair, same seed, in percentage points.",
            captions.intervals(deltas, "mean delta"),
            captions.verdicts(deltas),
            captions.SELECTION,
            gone or captions.incomplete(deltas, np.isfinite(cell.mean), "mean delta and verdict"),
            captions.ended(counted(frame)),
            captions.mixtures(counted(frame)),
        ),
        cells=text_cells(deltas.rows, text | pair_texts(deltas, cell, signed=True)),
        data=data.assign(pair=data["pair"].where(data["quantity"] != "worst", data["row"].map(worst))),
    )
