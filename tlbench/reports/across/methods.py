"""Method entries and families of methods over all suites: how often they are better or worse than the baseline."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from statistics import median

import numpy as np
import pandas as pd

from tlbench.reports.across.suite_results import SuiteResult, SuiteResults
from tlbench.reports.statistics import intervals
from tlbench.reports.statistics.intervals import Estimate
from tlbench.reports.table import Table, estimate_texts, number_text, tidy_lines
from tlbench.reports.tables.summary import READS_GROUPS

ALL_SUITES = "all suites"
"""Stands for the name of the suite in a table over several of them."""
FEWEST = 3
"""An entry has a line from so many suites on, and an interval over suites takes as many."""
WHOLE = "all"
"""The line of all families of a group."""
_FEWEST_OF_SHARES = 5
"""An interval of a share takes so many suites: with fewer it would say nothing."""
_NOTES = (
    "Suites that share data are not independent, which makes intervals too narrow. Mean deltas leave out H-scores, which are 0 "
    "without an unknown class, and errors in units of the target."
)


@dataclass(frozen=True)
class _Result:
    """What an entry does on one suite, with what the suite is called and how its deltas are counted."""

    suite: str
    entry: str
    method: str
    group: str
    result: SuiteResult
    in_points: bool


def method_tables(by_suite: Sequence[SuiteResults]) -> list[Table]:
    """For each baseline a table of the entries that ran on several of its suites, those that help most often first.

    Args:
        by_suite: the results of all suites.
    """
    tables = []
    for baseline, suites in of_baselines(by_suite):
        by_entry: dict[str, list[_Result]] = {}
        for one in _flat(suites):
            by_entry.setdefault(one.entry, []).append(one)
        lines = {entry: of for entry, of in by_entry.items() if len(of) >= FEWEST}
        ordered = sorted(lines, key=lambda entry: (READS_GROUPS.index(lines[entry][-1].group), *_order(lines[entry]), entry))
        if not lines:
            continue
        cells = {
            entry: {
                "suites": str(len(lines[entry])),
                **_verdict_cells(lines[entry]),
                "mean delta": _delta_text(lines[entry]),
                **_pair_cells(lines[entry]),
                "train time": _cost_text(lines[entry]),
            }
            for entry in ordered
        }
        short = len(by_entry) - len(lines)
        notes = (
            f"{_NOTES} Left out: {short} {'entry' if short == 1 else 'entries'} that ran on fewer than {FEWEST} suites."
            if short
            else _NOTES
        )
        tables.append(
            _table(
                "methods",
                f"methods against {baseline} on {len(suites)} suites",
                "Suites on which the mean delta is significantly better or worse; mean delta over suites in points ± margin of "
                "error of its 95 % CI for other suites; pairs: significantly better or worse; train time: median multiple of "
                "the baseline's.",
                notes,
                cells,
                [lines[entry][-1].group for entry in ordered],
                {entry: lines[entry] for entry in ordered},
            )
        )
    return tables


def family_tables(by_suite: Sequence[SuiteResults], families: Mapping[str, str]) -> list[Table]:
    """For each baseline a table of the families of methods, by what they read.

    Args:
        by_suite: the results of all suites.
        families: the family of each method that ships.
    """
    tables = []
    for baseline, suites in of_baselines(by_suite):
        by_line: dict[tuple[str, str], list[_Result]] = {}
        for one in _flat(suites):
            for family in (families.get(one.method, "other"), WHOLE):
                by_line.setdefault((one.group, family), []).append(one)
        count = {group: len({family for of, family in by_line if of == group}) for group, _ in by_line}
        lines = {line: of for line, of in by_line.items() if line[1] != WHOLE or count[line[0]] > 2}
        ordered = sorted(lines, key=lambda line: (READS_GROUPS.index(line[0]), line[1] == WHOLE, *_order(lines[line]), line[1]))
        if not lines:
            continue
        texts = [
            {
                "methods": str(len({one.method for one in lines[line]})),
                "suites": str(len({one.suite for one in lines[line]})),
                "results": str(len(lines[line])),
                **_verdict_cells(lines[line]),
                "better %": _share_text(lines[line], 1.0),
                "worse %": _share_text(lines[line], -1.0),
                "mean delta": _delta_text(lines[line]),
            }
            for line in ordered
        ]
        tables.append(
            _table(
                "families",
                f"families of methods against {baseline} on {len(suites)} suites",
                "Results: one a method entry and suite; better, n.s., worse: their verdicts. Better %, worse %, mean delta "
                "(points): means over suites of the mean within each ± margin of error of the 95 % CI for other suites.",
                _NOTES,
                pd.DataFrame(texts, index=[family for _, family in ordered]),
                [group for group, _ in ordered],
                {f"{group}: {family}": lines[group, family] for group, family in ordered},
            )
        )
    return tables


def of_baselines(by_suite: Sequence[SuiteResults]) -> Iterator[tuple[str, list[SuiteResults]]]:
    """The baselines of several suites with these, the one of most suites first."""
    by_baseline: dict[str, list[SuiteResults]] = {}
    for suite in by_suite:
        if suite.results:
            by_baseline.setdefault(suite.baseline, []).append(suite)
    for baseline, suites in sorted(by_baseline.items(), key=lambda item: -len(item[1])):
        if len(suites) >= FEWEST:
            yield baseline, suites


def _flat(suites: Sequence[SuiteResults]) -> Iterator[_Result]:
    for suite in suites:
        for entry, result in suite.results.items():
            yield _Result(suite.name, entry, suite.methods[entry], suite.groups[entry], result, suite.in_points)


def _count(results: Sequence[_Result], verdict: float) -> int:
    return sum(one.result.verdict == verdict for one in results)


def _order(results: Sequence[_Result]) -> tuple[float, float]:
    """Most suites better rather than worse first, then by the mean delta."""
    net = (_count(results, 1.0) - _count(results, -1.0)) / len(results)
    delta = float(delta_over_suites(results).mean[0])
    return -net, np.inf if np.isnan(delta) else -delta


def _verdict_cells(results: Sequence[_Result]) -> dict[str, str]:
    return {word: str(_count(results, verdict)) for word, verdict in (("better", 1.0), ("n.s.", 0.0), ("worse", -1.0))}


def _pair_cells(results: Sequence[_Result]) -> dict[str, str]:
    """Shares of the pairs of all suites that are significantly better and worse."""
    tested = [one.result for one in results if not np.isnan(one.result.better)]
    pairs = sum(result.pairs for result in tested)
    counts = {"better": sum(result.better for result in tested), "worse": sum(result.worse for result in tested)}
    return {f"pairs {word} %": number_text(100 * count / pairs, 0) if pairs else "" for word, count in counts.items()}


def _over_suites(values: Mapping[str, Sequence[float]]) -> Estimate:
    """The mean over suites of the mean within each, with Student's 95 % CI over suites."""
    means = np.array([np.mean(of) for of in values.values()], dtype=np.float64)
    if not len(means):
        return Estimate(np.array([np.nan]), np.array([np.nan]))
    return intervals.over_seeds(means[None])


def delta_over_suites(results: Sequence[_Result]) -> Estimate:
    """The mean gain in points over suites, with its interval; NaN where no delta is in points."""
    by_suite: dict[str, list[float]] = {}
    for one in results:
        if one.in_points:
            by_suite.setdefault(one.suite, []).append(one.result.gain)
    return _over_suites(by_suite)


def _share_text(results: Sequence[_Result], verdict: float) -> str:
    """The mean share over suites, with an interval where it varies over enough of them."""
    by_suite: dict[str, list[float]] = {}
    for one in results:
        if not np.isnan(one.result.verdict):
            by_suite.setdefault(one.suite, []).append(100.0 * (one.result.verdict == verdict))
    share = _over_suites(by_suite)
    shown = len(by_suite) >= _FEWEST_OF_SHARES and share.margin[0] > 0
    return estimate_texts(share if shown else Estimate(share.mean, np.array([np.nan])), 0)[0]


def _delta_text(results: Sequence[_Result]) -> str:
    return estimate_texts(delta_over_suites(results), signed=True)[0]


def _cost_text(results: Sequence[_Result]) -> str:
    """The median over suites of the training time as a multiple of the baseline's: "1.75 x", "0.002 x"."""
    costs = [one.result.cost for one in results if not np.isnan(one.result.cost)]
    if not costs:
        return ""
    ratio = median(costs)
    return f"{ratio:.2f} x" if ratio >= 0.1 else f"{ratio:.1g} x"


def _table(
    kind: str,
    title: str,
    line: str,
    notes: str,
    cells: Mapping[str, Mapping[str, str]] | pd.DataFrame,
    groups: Sequence[str],
    results: Mapping[str, Sequence[_Result]],
) -> Table:
    """A table over suites, with the numbers behind its cells.

    Args:
        kind: its kind.
        title: what it shows.
        line: the line of its caption.
        notes: the sentences below.
        cells: the texts by line.
        groups: the group of each line.
        results: what each line is of; its name in the data.
    """
    frame = cells if isinstance(cells, pd.DataFrame) else pd.DataFrame.from_dict(dict(cells), orient="index")
    frame = frame.astype(object).rename_axis(index="method" if kind == "methods" else "family")
    numbers: list[tuple[str, str, float, str]] = []
    for name, of in results.items():
        mean, margin = (float(one[0]) for one in delta_over_suites(of))
        numbers += [
            (name, "suites", float(len({one.suite for one in of})), "suites"),
            *((name, word, float(_count(of, verdict)), "results") for word, verdict in (("better", 1.0), ("worse", -1.0))),
            *((name, "mean", mean, "percentage points"), (name, "margin", margin, "percentage points")),
        ]
    names = ("entry", "quantity", "value", "unit")
    return Table(
        suite=ALL_SUITES,
        kind=kind,
        title=title[:1].upper() + title[1:],
        caption=f"{line} {notes}",
        cells=frame,
        data=tidy_lines(numbers, names, suite=ALL_SUITES, suite_version=0, table=kind),
        line=line,
        notes=notes,
        groups=tuple(groups),
    )
