"""Tables over all suites of a results directory: methods, families, suites by methods, published figures, selection rules.

A kind is an entry of `ACROSS_KINDS`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import pandas as pd

from tlbench.reports.across.matrix import matrix_tables
from tlbench.reports.across.methods import family_tables, method_tables
from tlbench.reports.across.published_figures import declared_figures, published_table
from tlbench.reports.across.rules import rule_table
from tlbench.reports.across.suite_results import SuiteResults
from tlbench.reports.table import Table


@dataclass(frozen=True, eq=False)
class AcrossInputs:
    """What the tables over suites are made from."""

    frame: pd.DataFrame
    """From `reports.frame`."""
    by_suite: Sequence[SuiteResults]
    """From `results_by_suite`."""
    families: Mapping[str, str] = field(default_factory=dict)
    """The family of each method that ships."""
    selections: pd.DataFrame | None = None
    """From `reports.rule_selections`; None: no candidates are read."""
    suites: Sequence[str] = ()
    """The suites whose published figures are shown; empty: those of all suites, with or without records."""


@dataclass(frozen=True)
class AcrossKind:
    """A kind of table over suites."""

    shows: str
    """What it shows, in one line."""
    make: Callable[[AcrossInputs], list[Table]]

    def tables(self, of: AcrossInputs) -> list[Table]:
        """Its tables, with the section that explains them."""
        return [replace(table, section=SECTION) for table in self.make(of)]


SECTION = "over-all-suites"
"""The section of docs/reports.md that explains tables over suites, as the anchor of its heading."""


def _published(of: AcrossInputs) -> list[Table]:
    figures = declared_figures()
    if of.suites:
        figures = [figure for figure in figures if {cell[0] for cell in figure.cells} <= set(of.suites)]
    return published_table(of.frame, figures)


ACROSS_KINDS: dict[str, AcrossKind] = {
    "methods": AcrossKind(
        "Over all suites: on how many each method is better or worse, and its cost.", lambda of: method_tables(of.by_suite)
    ),
    "families": AcrossKind(
        "Over all suites: the same by family and by what methods read.", lambda of: family_tables(of.by_suite, of.families)
    ),
    "matrix": AcrossKind("Over all suites: the delta of each method on each suite.", lambda of: matrix_tables(of.by_suite)),
    "published": AcrossKind("Over all suites: published figures, reproduced, off by, or not tried.", _published),
    "rules": AcrossKind("Over all suites: the regret of selection rules.", lambda of: rule_table(of.selections)),
}
"""By name, in the order in which they are listed."""
