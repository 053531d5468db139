"""What half-width to expect of so many seeds and pairs, and how many seeds a wanted one takes, from earlier records.

The noise of a row is pooled over its pairs; that seeds are few, so that it is itself uncertain, is the reason why this is
an outlook and no promise.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from tlbench.errors import TlbenchError
from tlbench.reports.frames import latest
from tlbench.reports.score_cube import Cube, cube
from tlbench.reports.statistics import intervals
from tlbench.reports.statistics.intervals import Array
from tlbench.reports.tables import captions

MOST_SEEDS = 1000
"""No more seeds than these are proposed."""


@dataclass(frozen=True, eq=False)
class Noise:
    """What earlier records say of the noise between seeds.

    `variance` (R,) is each row's over its pairs; `spread` (R,) in (0, 1] how alike its pairs are: (sum v)^2 / (P sum v^2), by
    which the degrees of freedom shrink.
    """

    variance: Array
    spread: Array

    def half_width(self, seeds: int, pairs: int) -> Array:
        """Half of the 95 % interval (R,) to expect of each row; NaN below three seeds."""
        if seeds < intervals.SEEDS_NEEDED:
            return np.full_like(self.variance, np.nan)
        return self._half_widths(np.array([seeds]), pairs)[0]

    def seeds_for(self, half_width: float, pairs: int) -> Array:
        """The least number of seeds (R,) with at most this half-width; NaN where `MOST_SEEDS` are too few."""
        tried_N = np.arange(intervals.SEEDS_NEEDED, MOST_SEEDS + 1)
        enough_NR = self._half_widths(tried_N, pairs) <= half_width
        return np.where(enough_NR.any(axis=0), tried_N[enough_NR.argmax(axis=0)], np.nan)

    def _half_widths(self, seeds_N: npt.NDArray[np.integer], pairs: int) -> Array:
        df_NR = np.maximum(self.spread * pairs, 1.0) * (seeds_N[:, None] - 1.0)
        return intervals.quantile(df_NR) * np.sqrt(self.variance / (seeds_N[:, None] * pairs))


def noise(values_RPS: Array) -> Noise | None:
    """The noise of the rows that have a pair with two seeds, as (rows, pairs, seeds) of scores or deltas show it; else None.

    (sum v)^2 / sum v^2 with the squares of estimated variances shrunk by d / (d + 2), d their degrees of freedom: the square
    of an estimate is too large by that on average.
    """
    seeds_RP = np.isfinite(values_RPS).sum(axis=-1)
    there_RP = seeds_RP >= 2
    some_R = there_RP.any(axis=1)
    if not some_R.any():
        return None
    filled = np.where(np.isfinite(values_RPS), values_RPS, 0.0)
    mean_RP = filled.sum(axis=-1) / np.maximum(seeds_RP, 1)
    squares_RP = np.where(np.isfinite(values_RPS), (filled - mean_RP[..., None]) ** 2, 0.0).sum(axis=-1)
    df_RP = np.maximum(seeds_RP - 1, 1)
    v_RP = np.where(there_RP & (squares_RP > intervals.NOISE**2), squares_RP / df_RP, 0.0)[some_R]
    known_R = there_RP[some_R].sum(axis=1)
    fourth_R = (v_RP**2 * (df_RP / (df_RP + 2))[some_R]).sum(axis=1)
    spread_R = np.where(fourth_R > 0, v_RP.sum(axis=1) ** 2 / np.where(fourth_R > 0, fourth_R, 1.0) / known_R, 1.0)
    return Noise(v_RP.sum(axis=1) / known_R, np.clip(spread_R, 0.0, 1.0))


def planning_text(scores: Cube, noun: str, wanted: float | None = None) -> str:
    """One or two sentences for a caption: what these seeds give, and what half of it, or the wanted half-width, takes."""
    found = noise(scores.values)
    return "" if found is None else _said(found, len(scores.seeds), len(scores.pairs), noun, scores.unit_of_deltas, wanted)


def plan(frame: pd.DataFrame, *, pairs: int, seeds: int, half_width: float | None = None) -> str:
    """What a run of so many pairs and seeds is to give, from the records of its suite so far (no record: said so).

    `half_width` is a wanted one, in points of the metric. Raises TlbenchError where it is not positive.
    """
    wanted(half_width)
    nothing = "half-width to expect: not known before records with two seeds of a pair are on file"
    if frame.empty:
        return nothing
    newest = frame[frame["suite_version"] == frame["suite_version"].max()]
    scores = cube(newest)
    baseline = latest(newest, "baseline")
    deltas = None if baseline is None else scores.minus(str(baseline))
    found, noun = (noise(deltas.values), f"mean delta against {baseline}") if deltas is not None else (None, "")
    if found is None:
        found, noun = noise(scores.values), "mean"
    return nothing if found is None else _said(found, seeds, pairs, noun, scores.unit_of_deltas, half_width)


def wanted(half_width: float | None) -> None:
    """Raise TlbenchError for a half-width that no number of seeds can give."""
    if half_width is not None and not 0 < half_width < np.inf:
        raise TlbenchError(f"--half-width {half_width:g}: give a number above 0, in points of the suite's metric, such as 0.5")


def _said(found: Noise, seeds: int, pairs: int, noun: str, unit: str, wanted: float | None) -> str:
    if not found.variance.any():
        return f"The {noun} does not vary between seeds in the records so far."
    has = found.half_width(seeds, pairs)
    typical, parts = float(np.median(has)), []
    if np.isnan(typical):
        aim = wanted or float(np.median(found.half_width(intervals.SEEDS_NEEDED, pairs)))
    else:
        aim, of = wanted or typical / 2, f"{captions.plural(seeds, 'seed')} of {captions.plural(pairs, 'pair')}"
        most = f"± {_figure(typical)} {unit} for the median row, ± {_figure(float(has.max()))} at most"
        parts.append(f"To expect of {of}: {noun} {most}.")
    if aim <= 0:
        return " ".join(parts)
    need = np.nan_to_num(found.seeds_for(aim, pairs), nan=np.inf)
    parts.append(
        f"± {_figure(aim)} takes {_seeds(float(np.median(need)))} for the median row, {_seeds(float(need.max()))} for all."
    )
    return " ".join(parts)


def _seeds(count: float) -> str:
    return f"{count:.0f} seeds" if np.isfinite(count) else f"more than {MOST_SEEDS} seeds"


def _figure(value: float) -> str:
    return f"{value:.3g}"
