"""Captions in one line, and the notes below them: what is particular to the records of a table.

Text, Markdown, LaTeX, HTML and the site show these two; JSON has the whole caption, too, and docs/reports.md explains the
statistics.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from tlbench.reports.score_cube import ScoreCube
from tlbench.reports.statistics import intervals
from tlbench.reports.statistics.average_ranks import Ranking
from tlbench.reports.statistics.intervals import MIN_SEEDS
from tlbench.reports.tables import captions
from tlbench.reports.tables.expected_precision import precision_note

STARS = "*: significantly better or worse (BH, FDR 5 %)."

NOT_SIGNIFICANT = "n.s.: no significant difference."


def scores_line(scores: ScoreCube) -> str:
    """The line of the table of scores."""
    return f"{captions.unit(scores)}{_margin(scores)}."


def scores_notes(scores: ScoreCube, latest: pd.DataFrame, margin: float | None) -> str:
    """The notes of the table of scores.

    Args:
        scores: those of the table.
        latest: at most one record per case.
        margin: a desired margin of error; None: nothing is said about precision.
    """
    return captions.join_sentences(
        captions.shared_draws(scores),
        captions.single_runs(scores),
        captions.incomplete_entries(scores, np.isfinite(intervals.over_seeds(scores.values).mean), "mean and rank"),
        captions.unfinished_cases(latest),
        captions.weights_sources(latest),
        captions.mixed_inputs(latest),
        captions.mixed_provenance(latest),
        "" if margin is None else precision_note(scores, "mean", margin),
    )


def deltas_line(scores: ScoreCube, deltas: ScoreCube, baseline: str) -> str:
    """The line of a table of deltas."""
    low = "" if scores.measure.higher_is_better else " A delta below zero is a gain."
    return f"Method minus {baseline}, in {deltas.delta_unit}{_margin(deltas)}. {STARS} {NOT_SIGNIFICANT}{low}"


def deltas_notes(deltas: ScoreCube, latest: pd.DataFrame, level: str, missing: str, margin: float | None) -> str:
    """The notes of a table of deltas.

    Args:
        deltas: those of the table.
        latest: at most one record per case.
        level: the sentence on the level of the baseline.
        missing: the sentence on what is missing.
        margin: as of `scores_notes`.
    """
    return captions.join_sentences(
        level,
        captions.shared_draws(deltas),
        captions.single_runs(deltas),
        missing,
        captions.unfinished_cases(latest),
        captions.mixed_inputs(latest),
        captions.mixed_provenance(latest),
        "" if margin is None else precision_note(deltas, "mean delta", margin),
    )


def negative_line(deltas: ScoreCube, baseline: str) -> str:
    """The line of a table of negative transfer."""
    return f"Deltas against {baseline} in {deltas.delta_unit}{_margin(deltas)}. *: significantly worse (BH, FDR 5 %)."


def costs_line() -> str:
    """The line of a table of costs."""
    return "Medians over the finished cases; comparable within this table only."


def ranks_line(ranking: Ranking) -> str:
    """The line of a table of average ranks."""
    return (
        f"Average over {captions.plural(ranking.pairs, 'pair')} (1 is best). Entries that share a letter do not differ "
        f"significantly (Nemenyi, critical difference {ranking.critical_difference:.2f}, level 0.05)."
    )


def subgroups_line(deltas: ScoreCube, noun: str) -> str:
    """The line of a table of deltas by class or by group."""
    stars = f" {STARS}" if len(deltas.seeds) >= MIN_SEEDS else ""
    return f"Deltas of accuracy over the pairs with the {noun}, in percentage points{_margin(deltas)}.{stars}"


def frontier_line(scores: ScoreCube) -> str:
    """The line of a table of accuracy against cost."""
    return f"{captions.unit(scores)}; costs are medians, comparable within this table only{_margin_sign(scores)}."


def comparison_line(deltas: ScoreCube, *, paired: bool) -> str:
    """The line of a table of the differences between two results directories; `paired` says whether seeds are in both."""
    how, stars = ("paired", STARS) if paired else ("not paired", "*: significantly better or worse (95 % CI).")
    return f"B minus A, {how}, in {deltas.delta_unit}{_margin(deltas)}. {stars} {NOT_SIGNIFICANT}"


def _margin_sign(scores: ScoreCube) -> str:
    """The clause that explains the sign of a margin of error, where there is one."""
    return "; ±: margin of error of the 95 % CI over seeds" if len(scores.seeds) >= MIN_SEEDS else ""


def _margin(scores: ScoreCube) -> str:
    """The clause on what follows the sign of a margin of error, or on why there is none."""
    if len(scores.seeds) < MIN_SEEDS:
        return f"; no 95 % CI, which takes {MIN_SEEDS} seeds"
    return " ± margin of error of the 95 % CI over seeds"
