"""Adapt or not, and by which method: advice for a suite from the records of other data sets, and how often it was right.

Suites of one data set are no independent evidence: a data set counts once, by the mean over its suites, and neither the advice
on a suite nor its record reads another suite of the same data set.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from tlbench.reports.frames import latest_records
from tlbench.transferability.data_sets import data_set_of

MIN_DATA_SETS = 5
"""The number of other data sets that a method needs records of; with fewer there is no advice on it."""
LEVEL = 0.8
"""The level of the intervals of gains."""
BASELINE = "source_only"


@dataclass(frozen=True)
class Advice:
    """What to do on a suite, and why; numbers are None where they are not known."""

    method: str | None
    """A method, `source_only` for no adaptation, or None: nothing is known."""
    why: str
    gain: float | None = None
    """The mean delta to source_only in points, over other data sets."""
    low: float | None = None
    high: float | None = None
    """The ends of the 80 % interval of the delta on another data set."""
    hurt: float | None = None
    """The share of pairs of other data sets with a negative delta."""
    train_seconds: float | None = None
    """The median over cases of other data sets."""
    data_sets: int = 0
    """The number of other data sets with records of the method."""


@dataclass(frozen=True)
class TrackRecord:
    """What the advice would have gained on each suite from other data sets, in points over source_only.

    Gains are means over data sets, each the mean over its suites.
    """

    suites: int
    data_sets: int
    right: int
    """Suites where it adapted and gained, or did not adapt and no method would have gained."""
    gain: float
    gain_of_always_best: float
    """Of the method that is the best on average over the other data sets, whether or not it is sure to gain."""
    gain_of_random: float
    """Of a method by chance."""
    gain_of_oracle: float
    """Of the best method of each suite, or none: known only afterwards."""

    @property
    def best_trivial(self) -> tuple[str, float]:
        """The best of the choices that look at nothing of a suite, and its gain."""
        choices = {
            f"always {BASELINE}": 0.0,
            "always the best method on average": self.gain_of_always_best,
            "a method by chance": self.gain_of_random,
        }
        return max(choices.items(), key=lambda choice: choice[1])


def deltas(frame: pd.DataFrame, labels: int = 0) -> pd.DataFrame:
    """The delta to source_only in points of each method, suite and pair, mean over seeds, with data set and train seconds.

    Only classification by accuracy counts, and only methods that read source samples and unlabelled target samples at most or,
    with labels, labelled target samples of so many a class at most.

    Args:
        frame: the records of several suites, from `reports.frame`.
        labels: the labelled target samples of each class that a method may read.
    """
    done = latest_records(frame)
    done = done[(done["status"] == "done") & done["metric"].isin(["target_accuracy", "macro_f1"])]
    splits = done["reads"].map(lambda reads: set(str(reads).split("+")))
    unlabeled = splits.map(lambda names: names <= {"source", "target"}).astype(bool)
    labeled = splits.map(lambda names: names <= {"source", "target", "target_labeled"}).astype(bool)
    done = done.loc[unlabeled | (labeled & (done["target_labels"] <= labels))]
    if done.empty:
        texts, numbers = ("suite", "data_set", "pair", "method"), ("train_seconds", "delta")
        types = dict.fromkeys(texts, "str") | dict.fromkeys(numbers, "float64")
        return pd.DataFrame({name: pd.Series(dtype=dtype) for name, dtype in types.items()})
    done = done.assign(score=100 * done["target_accuracy"])
    cells = done.groupby(["suite", "pair", "method"], as_index=False).agg(
        score=("score", "mean"), train_seconds=("train_seconds", "median")
    )
    baseline = cells[cells["method"] == BASELINE].set_index(["suite", "pair"])["score"].rename("baseline")
    joined = cells[cells["method"] != BASELINE].join(baseline, on=["suite", "pair"], how="inner")
    delta, data_set = joined["score"] - joined["baseline"], joined["suite"].map(data_set_of)
    return joined.assign(delta=delta, data_set=data_set).drop(columns=["score", "baseline"])


def advise(of_others: pd.DataFrame, methods: list[str] | None = None) -> Advice:
    """The method with the highest mean delta over data sets, where that is above 0 with confidence; else no adaptation.

    Args:
        of_others: from `deltas`, without the data set of the suite that the advice is for.
        methods: the methods to choose from; None: all.
    """
    from scipy.stats import t

    chosen = of_others if methods is None else of_others[of_others["method"].isin(methods)]
    by_data_set = _by_data_set(chosen)
    if by_data_set.empty:
        return Advice(None, f"No method has records of {MIN_DATA_SETS} other data sets.")
    best = str(by_data_set.groupby("method").mean().idxmax())
    values = by_data_set[best].to_numpy(dtype=np.float64)
    mean, sd, count = float(values.mean()), float(values.std(ddof=1)), len(values)
    quantile = float(t.ppf(0.5 + LEVEL / 2, count - 1))
    margin, spread = quantile * sd / np.sqrt(count), quantile * sd * np.sqrt(1 + 1 / count)
    cells = chosen[chosen["method"] == best]
    facts: dict[str, Any] = {"gain": mean, "low": mean - spread, "high": mean + spread, "data_sets": count}
    facts |= {"hurt": float((cells["delta"] < 0).mean()), "train_seconds": float(cells["train_seconds"].median())}
    if mean - margin > 0:
        known = by_data_set.index.get_level_values("method").nunique()
        return Advice(best, f"Of {known} methods, {best} gains the most on average over {count} other data sets.", **facts)
    return Advice(
        BASELINE, f"The best method on average, {best}, does not gain with confidence over {count} other data sets.", **facts
    )


def _by_data_set(cells: pd.DataFrame) -> pd.Series[Any]:
    """The mean delta of each method and data set, over its suites, of methods with `MIN_DATA_SETS` of them."""
    by_suite = cells.groupby(["method", "data_set", "suite"])["delta"].mean()
    means = by_suite.groupby(["method", "data_set"]).mean()
    counts = means.groupby("method").transform("size")
    return means[counts >= MIN_DATA_SETS]


def track_record(of_all: pd.DataFrame) -> TrackRecord | None:
    """The advice for each suite from the records of other data sets, beside always adapting and knowing the best.

    None where there is no suite to give advice on.

    Args:
        of_all: from `deltas`.
    """
    lines, right = [], 0
    for (data_set, _), own in of_all.groupby(["data_set", "suite"]):
        reached = own.groupby("method")["delta"].mean()
        methods = list(map(str, reached.index))
        others = of_all[of_all["data_set"] != data_set]
        advice = advise(others, methods)
        if advice.method is None:
            continue
        always = _by_data_set(others[others["method"].isin(methods)]).groupby("method").mean().idxmax()
        gain = 0.0 if advice.method == BASELINE else float(reached[advice.method])
        oracle = max(0.0, float(reached.max()))
        right += gain > 0 if advice.method != BASELINE else oracle == 0
        lines.append((str(data_set), gain, float(reached[str(always)]), float(reached.mean()), oracle))
    if not lines:
        return None
    gains = pd.DataFrame(lines, columns=["data_set", "gain", "always", "random", "oracle"]).groupby("data_set").mean()
    return TrackRecord(len(lines), len(gains), right, *map(float, gains.mean()))
