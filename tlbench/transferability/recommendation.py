"""Adapt or not, and by which method: advice for a suite from the records of others, and how often it was right."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from tlbench.reports.frames import latest_records

MIN_SUITES = 5
"""The number of other suites that a method needs records in; with fewer there is no advice on it."""
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
    """The mean delta to source_only in points, over other suites."""
    low: float | None = None
    high: float | None = None
    """The ends of the 80 % interval of the delta on another suite."""
    hurt: float | None = None
    """The share of pairs of other suites with a negative delta."""
    train_seconds: float | None = None
    """The median over cases of other suites."""
    suites: int = 0
    """The number of other suites with records of the method."""


@dataclass(frozen=True)
class TrackRecord:
    """What the advice would have gained on each suite from the records of the others, in points over source_only."""

    suites: int
    right: int
    """Suites where it adapted and gained, or did not adapt and no method would have gained."""
    gain: float
    gain_of_always_best: float
    """Of the method that is the best on average over the other suites, whether or not it is sure to gain."""
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
    """The delta to source_only in points of each method, suite and pair, mean over seeds, with train seconds.

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
        types = {"suite": "str", "pair": "str", "method": "str", "train_seconds": "float64", "delta": "float64"}
        return pd.DataFrame({name: pd.Series(dtype=dtype) for name, dtype in types.items()})
    done = done.assign(score=100 * done["target_accuracy"])
    cells = done.groupby(["suite", "pair", "method"], as_index=False).agg(
        score=("score", "mean"), train_seconds=("train_seconds", "median")
    )
    baseline = cells[cells["method"] == BASELINE].set_index(["suite", "pair"])["score"].rename("baseline")
    joined = cells[cells["method"] != BASELINE].join(baseline, on=["suite", "pair"], how="inner")
    return joined.assign(delta=joined["score"] - joined["baseline"]).drop(columns=["score", "baseline"])


def advise(of_others: pd.DataFrame, methods: list[str] | None = None) -> Advice:
    """The method whose delta is the highest on average over suites, where that is above 0 with confidence; else no adaptation.

    Args:
        of_others: from `deltas`, without the suite that the advice is for.
        methods: the methods to choose from; None: all.
    """
    from scipy.stats import t

    chosen = of_others if methods is None else of_others[of_others["method"].isin(methods)]
    by_suite = chosen.groupby(["method", "suite"])["delta"].mean()
    counts = by_suite.groupby("method").size()
    known = counts.index[counts >= MIN_SUITES]
    if not len(known):
        return Advice(None, f"No method has records in {MIN_SUITES} other suites.")
    best = str(by_suite.groupby("method").mean()[known].idxmax())
    values = by_suite[best].to_numpy(dtype=np.float64)
    mean, sd, count = float(values.mean()), float(values.std(ddof=1)), len(values)
    quantile = float(t.ppf(0.5 + LEVEL / 2, count - 1))
    margin, spread = quantile * sd / np.sqrt(count), quantile * sd * np.sqrt(1 + 1 / count)
    cells = chosen[chosen["method"] == best]
    facts: dict[str, Any] = {"gain": mean, "low": mean - spread, "high": mean + spread, "suites": count}
    facts |= {"hurt": float((cells["delta"] < 0).mean()), "train_seconds": float(cells["train_seconds"].median())}
    if mean - margin > 0:
        return Advice(best, f"Of {len(known)} methods, {best} gains the most on average over {count} other suites.", **facts)
    return Advice(
        BASELINE, f"The best method on average, {best}, does not gain with confidence over {count} other suites.", **facts
    )


def track_record(of_all: pd.DataFrame) -> TrackRecord | None:
    """The advice for each suite from the records of the others, beside what always adapting and knowing the best would gain.

    None where there is no suite to give advice on. Each suite counts once, whatever its number of pairs.

    Args:
        of_all: from `deltas`.
    """
    gains, best_gains, random_gains, oracles, right = [], [], [], [], 0
    for suite, own in of_all.groupby("suite"):
        reached = own.groupby("method")["delta"].mean()
        others = of_all[of_all["suite"] != suite]
        advice = advise(others, list(map(str, reached.index)))
        if advice.method is None:
            continue
        averages = others[others["method"].isin(reached.index)].groupby(["method", "suite"])["delta"].mean()
        counts = averages.groupby("method").size()
        always = averages.groupby("method").mean()[counts.index[counts >= MIN_SUITES]].idxmax()
        gains.append(0.0 if advice.method == BASELINE else float(reached[advice.method]))
        best_gains.append(float(reached[str(always)]))
        random_gains.append(float(reached.mean()))
        oracles.append(max(0.0, float(reached.max())))
        right += gains[-1] > 0 if advice.method != BASELINE else oracles[-1] == 0
    if not gains:
        return None
    means = (float(np.mean(values)) for values in (gains, best_gains, random_gains, oracles))
    return TrackRecord(len(gains), right, *means)
