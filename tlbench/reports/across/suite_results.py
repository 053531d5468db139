"""The results of every method entry on each suite, from the summaries: what the tables over all suites are made of."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from tlbench.metrics import METRICS
from tlbench.reports.frames import latest_value
from tlbench.reports.table import Table
from tlbench.reports.tables.summary import READS_GROUPS, reads_group

_BINS = (0.5, 2.0, 5.0, 10.0)
"""The limits in points between the shades of a cell."""


@dataclass(frozen=True)
class SuiteResult:
    """What an entry does on one suite: its delta, and the training time as a multiple of the baseline's."""

    text: str
    gain: float
    verdict: float
    better: float
    worse: float
    pairs: int
    cost: float

    @property
    def mark(self) -> str:
        """The class of the cell: its shade, "s" where the difference is significant; empty without a delta."""
        if np.isnan(self.gain):
            return ""
        shade = int(np.searchsorted(_BINS, abs(self.gain)))
        shown = f"{'p' if self.gain > 0 else 'n'}{shade}" if shade else "z"
        return f"{shown} s" if self.verdict in (1.0, -1.0) else shown


@dataclass(frozen=True)
class SuiteResults:
    """The results of the entries of one suite against its baseline."""

    name: str
    baseline: str
    results: Mapping[str, SuiteResult]
    in_points: bool = True
    """Whether deltas are percentage points, so that they can be averaged with those of other suites."""
    methods: Mapping[str, str] = field(default_factory=dict)
    """The method of each entry."""
    groups: Mapping[str, str] = field(default_factory=dict)
    """What each entry reads, one of `READS_GROUPS`."""


def suite_results(summary: Table, baseline: str | None, pairs: int) -> dict[str, SuiteResult]:
    """The results of each entry of a suite but its baseline, from its summary."""
    wide = summary.data[summary.data["pair"].isna()].pivot(index="entry", columns="quantity", values="value")
    columns = ("mean", "verdict", "pairs_significantly_better", "pairs_significantly_worse", "train_seconds")
    wide = wide.reindex(columns=columns)
    seconds = float(wide["train_seconds"].get(baseline, np.nan))
    direction = 1.0 if METRICS[summary.metric].higher_is_better else -1.0
    texts = summary.cells["delta"] if "delta" in summary.cells else pd.Series("", summary.cells.index)
    results = {}
    for entry, (delta, verdict, better, worse, train) in zip(wide.index, wide.to_numpy(dtype=np.float64), strict=True):
        if entry != baseline and not np.isnan(delta):
            text = str(texts[entry]).partition(" ")[0]
            cost = train / seconds if seconds > 0 else np.nan
            results[str(entry)] = SuiteResult(text, direction * delta, verdict, better, worse, pairs, cost)
    return results


def results_by_suite(frame: pd.DataFrame, summaries: Sequence[Table]) -> list[SuiteResults]:
    """The results of all suites that have a baseline.

    Args:
        frame: from `reports.frame`.
        summaries: the summaries of its suites.
    """
    frames = {f"{name} v{version}": of for (name, version), of in frame.groupby(["suite", "suite_version"], sort=False)}
    by_suite = []
    for summary in summaries:
        of_suite = frames[summary.suite]
        baseline = latest_value(of_suite, "baseline")
        if baseline is None:
            continue
        last = of_suite[of_suite["status"] == "done"].drop_duplicates("entry", keep="last").set_index("entry")
        metric = METRICS[summary.metric]
        by_suite.append(
            SuiteResults(
                name=summary.suite,
                baseline=str(baseline),
                results=suite_results(summary, str(baseline), int(of_suite["pair"].nunique())),
                in_points=metric.unit == "per cent" and summary.metric != "h_score",
                methods={str(entry): str(method) for entry, method in last["method"].items()},
                groups={str(entry): READS_GROUPS[reads_group(str(reads))] for entry, reads in last["reads"].items()},
            )
        )
    return by_suite
