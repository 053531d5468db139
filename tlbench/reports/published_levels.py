"""The published levels of a baseline beside its own: a delta is read from the level that it starts from."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from tlbench.metrics import METRICS
from tlbench.reports.frames import SCORES
from tlbench.reports.score_cube import ScoreCube, cube_values
from tlbench.reports.statistics import intervals
from tlbench.suite import MEAN, PublishedLevel, Suite, shipped_published_levels

_MAX_PAIRS = 3
"""The number of pairs that a sentence names one by one."""


@dataclass(frozen=True)
class LevelComparison:
    """A published value, on a pair or as a mean, and that of the same entry here; `own` is None where a run is missing."""

    level: PublishedLevel
    pair: str
    value: float
    own: float | None


def level_comparisons(scores: ScoreCube, records: pd.DataFrame, suites: Iterable[Suite] = ()) -> tuple[LevelComparison, ...]:
    """The published values of a suite beside those here.

    Args:
        scores: those of the suite.
        records: at most one record per case.
        suites: suites from files of their own, whose levels are taken before those of the suites that ship.
    """
    of_files = {(suite.name, suite.version): suite.published for suite in suites}
    key = (scores.suite, scores.version)
    levels = of_files[key] if key in of_files else shipped_published_levels(*key)
    return tuple(
        LevelComparison(level, pair, value, _own(scores, records, level, None if pair == MEAN else pair))
        for level in levels
        for pair, value in level.values.items()
    )


def level_sentence(scores: ScoreCube, comparisons: Sequence[LevelComparison], entry: str) -> str:
    """One line such as "source_only: 84.1 per cent; published: 83.8 (mean; skada-bench, two convolutions)."

    Without a published level it gives that of the entry here, and it is empty where a run of the entry is missing, too.
    """
    own = _mean(scores, entry)
    own_text = "" if own is None else f"{entry}: {_number(own, scores.decimals)} {scores.measure.unit}"
    of_sources: dict[int, list[LevelComparison]] = {}
    for comparison in comparisons:
        if comparison.level.entry == entry:
            of_sources.setdefault(id(comparison.level), []).append(comparison)
    if not of_sources:
        return f"{own_text}." if own_text else ""
    return f"{own_text or entry}; published: {'; '.join(_source_text(of, scores) for of in of_sources.values())}."


def _source_text(of: Sequence[LevelComparison], scores: ScoreCube) -> str:
    """The values of one source, or the mean of many, and where they are from; with those here where the line lacks them."""
    level = of[0].level
    other_metric = level.metric != scores.metric
    details = ", ".join([*([METRICS[level.metric].title] * other_metric), level.source, level.network])
    if MEAN in level.values:
        here = [f", here {_number(one.own)}" for one in of if one.pair == MEAN and other_metric and one.own is not None]
        return f"{_number(level.values[MEAN])} (mean{''.join(here)}; {details})"
    if len(of) > _MAX_PAIRS:
        owns = [one.own for one in of if one.own is not None]
        here_text = (
            f", here {_number(float(np.mean(owns)))}"
            if len(owns) == len(of) and (other_metric or len(of) < len(scores.pairs))
            else ""
        )
        return f"{_number(float(np.mean([one.value for one in of])))} (mean of {len(of)} pairs{here_text}; {details})"
    return f"{', '.join(f'{one.pair} {_number(one.value)}' for one in of)} ({details})"


def _number(value: float, decimals: int = 1) -> str:
    """A number with so many decimals; what rounds to zero has no sign."""
    return f"{round(value, decimals) + 0.0:.{decimals}f}"


def _own(scores: ScoreCube, records: pd.DataFrame, level: PublishedLevel, pair: str | None) -> float | None:
    """The score here that a value is compared with, which may be of another metric than the suite's."""
    if level.metric != scores.metric:
        if level.metric not in SCORES:
            return None
        values = METRICS[level.metric].factor * cube_values(scores, records, level.metric)
        scores = replace(scores, metric=level.metric, values=values)
    return _mean(scores, level.entry, pair)


def _mean(scores: ScoreCube, entry: str, pair: str | None = None) -> float | None:
    """The mean of an entry over the seeds of one pair or over all pairs; None where a run is missing."""
    of_entry, of_pair = scores.entries == entry, scores.pairs == pair
    if not of_entry.any() or (pair is not None and not of_pair.any()):
        return None
    if pair is not None:
        return _finite(scores.values[of_entry][:, of_pair].mean())
    return _finite(intervals.over_pairs(scores.distinct().values[of_entry]).mean[0])


def _finite(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None
