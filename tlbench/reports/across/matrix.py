"""Suites by methods: the mean delta of each method on each suite, with a star where it is significantly better or worse."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from tlbench.reports.across.methods import ALL_SUITES, FEWEST, of_baselines
from tlbench.reports.across.suite_results import SuiteResult, SuiteResults
from tlbench.reports.table import STAR, VERDICTS, Table, tidy_lines
from tlbench.reports.tables.summary import READS_GROUPS


def matrix_tables(by_suite: Sequence[SuiteResults]) -> list[Table]:
    """For each baseline a table of its suites by the entries that ran on several of them.

    Args:
        by_suite: the results of all suites.
    """
    return [table for baseline, suites in of_baselines(by_suite) if (table := _matrix(baseline, suites)) is not None]


def _matrix(baseline: str, suites: Sequence[SuiteResults]) -> Table | None:
    counts: dict[str, int] = {}
    groups: dict[str, str] = {}
    for suite in suites:
        for entry in suite.results:
            counts[entry] = counts.get(entry, 0) + 1
            groups[entry] = suite.groups[entry]
    entries = [entry for entry, count in counts.items() if count >= FEWEST]
    entries.sort(key=lambda entry: (READS_GROUPS.index(groups[entry]), -counts[entry], entry))
    if not entries:
        return None
    index = pd.Index([suite.name for suite in suites], name="suite")
    cells = pd.DataFrame([[_text(suite.results.get(entry)) for entry in entries] for suite in suites], index, entries, object)
    marks = pd.DataFrame([[_mark(suite.results.get(entry)) for entry in entries] for suite in suites], index, entries, object)
    numbers = [
        (suite.name, entry, "gain", suite.results[entry].gain, "as the metric")
        for suite in suites
        for entry in entries
        if entry in suite.results
    ]
    names = ("subgroup", "entry", "quantity", "value", "unit")
    line = f"Mean delta against {baseline} in units of each suite's metric;{STAR}: its 95 % CI over seeds excludes zero."
    notes = f"Entries that ran on {FEWEST} suites or more; blank: the suite does not have the entry."
    return Table(
        suite=ALL_SUITES,
        kind="matrix",
        title=f"Suites by methods, against {baseline}",
        caption=f"{line} {notes}",
        cells=cells,
        data=tidy_lines(numbers, names, suite=ALL_SUITES, suite_version=0, table="matrix"),
        marks=marks,
        line=line,
        notes=notes,
    )


def _text(result: SuiteResult | None) -> str:
    """As in "+2.4 *"; blank where the suite does not have the entry."""
    return "" if result is None else result.text + STAR * (result.verdict in (1.0, -1.0))


def _mark(result: SuiteResult | None) -> str:
    return "" if result is None else VERDICTS.get(result.verdict, "")
