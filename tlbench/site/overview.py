"""The first page: every method entry against every suite, with the facts by which a reader chooses a method."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from statistics import median
from typing import Any

import numpy as np

from tlbench.reports import Ranking
from tlbench.reports.across.suite_results import SuiteResult
from tlbench.reports.statistics.average_ranks import rank_means
from tlbench.site.alignment import aligned

FEWEST = 3
"""Average ranks take so many methods and so many suites at least."""


@dataclass(frozen=True)
class SuiteColumn:
    """A suite as a column of the first page: the entries' results on it."""

    name: str
    path: str
    title: str
    modality: str
    baseline: str
    results: Mapping[str, SuiteResult]


@dataclass(frozen=True)
class MethodFacts:
    """What a reader filters method entries by."""

    method: str
    path: str
    summary: str = ""
    family: str = ""
    labels: bool = False
    closed_form: bool = False
    source_free: bool = False


@dataclass(frozen=True)
class OverviewLine:
    """A method entry as a line of the first page, with its results by suite; figures are of all suites that it ran on."""

    entry: str
    facts: MethodFacts
    results: Sequence[SuiteResult | None]
    figures: Sequence[str] = ()
    """The text of each of `FIGURES`."""


FIGURES = ("suites", "pairs better %", "pairs worse %", "train time / baseline", "average rank")
"""The columns of figures: suites with a delta, shares of pairs that are significantly better or worse, the median training time
as a multiple of the baseline's, and the average rank."""


@dataclass(frozen=True)
class Overview:
    """All lines in two groups, by whether they read labelled target samples."""

    suites: Sequence[SuiteColumn]
    groups: Sequence[tuple[str, Sequence[OverviewLine]]]
    rankings: Sequence[tuple[str, Ranking, Sequence[str]]] = field(default=())
    """For each group that has one: its heading, the ranking, and the suites that it is over."""

    def data(self) -> dict[str, Any]:
        """What the script of the page computes with, by suite and by line in their order."""
        return {
            "suites": [{"name": suite.name, "modality": suite.modality} for suite in self.suites],
            "rows": [
                {
                    "name": line.entry,
                    "results": {
                        str(at): [_finite(one.gain), _finite(one.better), _finite(one.worse), one.pairs, _finite(one.cost)]
                        for at, one in enumerate(line.results)
                        if one is not None
                    },
                }
                for _, lines in self.groups
                for line in lines
            ],
        }


def overview(suites: Sequence[SuiteColumn], facts: Mapping[str, MethodFacts]) -> Overview:
    """The first page of some suites; `facts` has those of every entry, the baselines' too."""
    baselines = {suite.baseline for suite in suites}
    headings = {False: "Without labelled target samples", True: "With labelled target samples"}
    groups, rankings = [], []
    for labels, heading in headings.items():
        entries = [entry for entry, of in facts.items() if of.labels == labels and _is_measured(entry, suites)]
        ranked = average_ranks(entries, suites)
        ranks = {} if ranked is None else dict(zip(ranked[0].entries, ranked[0].average_rank.tolist(), strict=True))
        lines = [_line(entry, facts[entry], suites, ranks) for entry in entries]
        lines = [line for line in lines if any(line.results) or line.entry in baselines]
        if lines:
            groups.append((heading, sorted(lines, key=_order)))
        if ranked is not None:
            rankings.append((heading, *ranked))
    return Overview(suites, groups, rankings)


def average_ranks(entries: Sequence[str], suites: Sequence[SuiteColumn]) -> tuple[Ranking, list[str]] | None:
    """The average ranks of the largest block of entries that ran on the same suites, and these; None where none is large.

    A block is grown from each entry: the entry that keeps most suites comes next, and the block with most cells counts.
    """
    has = {entry: frozenset(at for at, suite in enumerate(suites) if _gain(entry, suite) is not None) for entry in entries}
    best: tuple[int, list[str], frozenset[int]] = (0, [], frozenset())
    for first in entries:
        block, common = [first], has[first]
        rest = [entry for entry in entries if entry != first]
        while rest and len(common) >= FEWEST:
            if len(block) >= FEWEST and len(block) * len(common) > best[0]:
                best = (len(block) * len(common), list(block), common)
            nearest = max(rest, key=lambda entry: len(common & has[entry]))
            common, block = common & has[nearest], [*block, nearest]
            rest.remove(nearest)
        if len(block) >= FEWEST and len(common) >= FEWEST and len(block) * len(common) > best[0]:
            best = (len(block) * len(common), list(block), common)
    _, block, common = best
    if not block:
        return None
    over = [suites[at] for at in sorted(common)]
    gains_MP = np.array([[_gain(entry, suite) for suite in over] for entry in block], dtype=np.float64)
    return rank_means(block, gains_MP), [suite.name for suite in over]


def _is_measured(entry: str, suites: Sequence[SuiteColumn]) -> bool:
    return any(_gain(entry, suite) is not None for suite in suites)


def _gain(entry: str, suite: SuiteColumn) -> float | None:
    """The gain over the baseline, 0 of the baseline itself; None where a suite has none."""
    if entry == suite.baseline:
        return 0.0 if suite.results else None
    result = suite.results.get(entry)
    return None if result is None else result.gain


def _line(entry: str, facts: MethodFacts, suites: Sequence[SuiteColumn], ranks: Mapping[str, float]) -> OverviewLine:
    results = [suite.results.get(entry) for suite in suites]
    own = [result for result in results if result is not None]
    tested = [result for result in own if not np.isnan(result.better)]
    pairs = sum(result.pairs for result in tested)
    costs = [result.cost for result in own if not np.isnan(result.cost)]
    figures = [
        str(len(own)),
        f"{100 * sum(result.better for result in tested) / pairs:.0f}" if pairs else "",
        f"{100 * sum(result.worse for result in tested) / pairs:.0f}" if pairs else "",
        _ratio_text(median(costs)) if costs else "",
        f"{ranks[entry]:.2f}" if entry in ranks else "",
    ]
    return OverviewLine(entry, facts, results, figures)


def _ratio_text(ratio: float) -> str:
    """A ratio with two decimals, a small one with one digit: "1.75", "0.002"."""
    return f"{ratio:.2f}" if ratio >= 0.1 else f"{ratio:.1g}"


def _order(line: OverviewLine) -> tuple[bool, float, str]:
    """Entries of at least three suites first, those with most pairs better than worse before others."""
    own = [result for result in line.results if result is not None and not np.isnan(result.better)]
    pairs = sum(result.pairs for result in own)
    net = sum(result.better - result.worse for result in own) / pairs if pairs else 0.0
    return len(own) < FEWEST, -net, line.entry


def _finite(value: float) -> float | None:
    """A number with four digits, which JSON can spell."""
    return None if np.isnan(value) else float(f"{value:.4g}")


def aligned_figures(lines: Sequence[OverviewLine]) -> list[list[str]]:
    """The texts of the figures of each line, aligned by column."""
    columns = [aligned([line.figures[at] for line in lines]) for at in range(len(FIGURES))]
    return [list(texts) for texts in zip(*columns, strict=True)]
