"""Sentences about precision: the margin of error to expect of a run, and the seeds that a desired margin takes."""

from __future__ import annotations

import numpy as np
import pandas as pd

from tlbench.errors import TlbenchError
from tlbench.reports.frames import latest_value
from tlbench.reports.score_cube import ScoreCube, score_cube
from tlbench.reports.statistics import intervals
from tlbench.reports.statistics.planning import MAX_SEEDS, Noise, estimate_noise
from tlbench.reports.tables import captions

_UNKNOWN = "The margin of error to expect is unknown: it takes records of a pair with at least two seeds."


def precision_note(scores: ScoreCube, noun: str, margin: float | None = None) -> str:
    """The sentences about precision of a caption; empty without two seeds of a pair.

    Args:
        scores: scores or deltas.
        noun: what the margin belongs to, such as "mean delta".
        margin: the desired margin of error in units of the metric; half of the present one if None.
    """
    distinct = scores.distinct()
    noise = _noise(distinct)
    if noise is None:
        return ""
    return _sentences(noise, len(scores.seeds), len(distinct.pairs), noun, scores.delta_unit, margin)


def expected_precision(frame: pd.DataFrame, *, pairs: int, seeds: int, margin: float | None = None) -> str:
    """The sentences about precision of a planned run.

    Args:
        frame: the records of the suite so far, from `reports.frame`; it may be empty.
        pairs: the number of pairs of the run that are really different, see `reports.count_distinct`.
        seeds: the number of seeds of the run.
        margin: the desired margin of error in units of the metric; half of the expected one if None.

    Raises:
        TlbenchError: the margin is not a positive number.
    """
    check_margin(margin)
    if frame.empty:
        return _UNKNOWN
    newest = frame[frame["suite_version"] == frame["suite_version"].max()]
    scores = score_cube(newest).distinct()
    baseline = latest_value(newest, "baseline")
    noise, noun = None, ""
    if baseline is not None:
        noise, noun = _noise(scores.minus(str(baseline))), f"mean delta against {baseline}"
    if noise is None:
        noise, noun = _noise(scores), "mean"
    return _UNKNOWN if noise is None else _sentences(noise, seeds, pairs, noun, scores.delta_unit, margin)


def _noise(scores: ScoreCube) -> Noise | None:
    """The noise of the entries whose seeds are no copies of one run, or of all where there are no others."""
    varies_M = ~scores.single_M if not scores.single_M.all() else scores.single_M
    return estimate_noise(scores.values[varies_M])


def check_margin(margin: float | None) -> None:
    """Raise TlbenchError for a margin of error that no number of seeds can give."""
    if margin is not None and not 0 < margin < np.inf:
        raise TlbenchError(
            f"--margin {margin:g} is not a positive number. Give it in points of the suite's metric, such as 0.5."
        )


def _sentences(noise: Noise, seeds: int, pairs: int, noun: str, unit: str, margin: float | None) -> str:
    if not noise.variance.any():
        return f"The {noun} does not vary between seeds in the records so far."
    margin_M = noise.margin(seeds, pairs)
    median, sentences = float(np.median(margin_M)), []
    if np.isnan(median):
        aim = margin or float(np.median(noise.margin(intervals.MIN_SEEDS, pairs)))
    else:
        aim = margin or median / 2
        size = f"{captions.plural(seeds, 'seed')} and {captions.plural(pairs, 'pair')}"
        widest = f"± {_number(median)} {unit} for the median entry and ± {_number(float(margin_M.max()))} at most"
        sentences.append(f"Expected margin of error of the {noun} with {size}: {widest}.")
    if aim <= 0:
        return " ".join(sentences)
    needed = np.nan_to_num(noise.seeds_for(aim, pairs), nan=np.inf)
    median_seeds, most_seeds = _seeds(float(np.median(needed))), _seeds(float(needed.max()))
    sentences.append(f"± {_number(aim)} takes {median_seeds} for the median entry, {most_seeds} for all entries.")
    return " ".join(sentences)


def _seeds(count: float) -> str:
    return f"{count:.0f} seeds" if np.isfinite(count) else f"more than {MAX_SEEDS} seeds"


def _number(value: float) -> str:
    return f"{value:.3g}"
