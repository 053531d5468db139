"""Tables from records: every mean, interval, delta and rank is computed here and never stored.

`frame` flattens records. `summary`, `accuracy`, `transfer`, `negative_transfer`, `throughput` and the others make the tables of
one suite, `tables` those of all suites, and `render` writes tables as text, Markdown, LaTeX, CSV, JSON or HTML. A kind of table
is an entry of `kinds.TABLE_KINDS`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import pandas as pd

from tlbench.errors import TlbenchError, unknown_name
from tlbench.escaping import escape_control
from tlbench.reports.across import ACROSS_KINDS, AcrossInputs
from tlbench.reports.across.suite_results import results_by_suite
from tlbench.reports.comparison import compare
from tlbench.reports.formats.output import FORMATS, render
from tlbench.reports.frames import frame, require_records
from tlbench.reports.kinds import TABLE_KINDS, TableInputs
from tlbench.reports.rule_selections import rule_selections
from tlbench.reports.score_cube import shared_cubes
from tlbench.reports.statistics.average_ranks import Ranking, ranking
from tlbench.reports.sweeps import count_distinct
from tlbench.reports.table import TIDY, Table
from tlbench.reports.tables.cost import cost_details, pareto_table, throughput
from tlbench.reports.tables.expected_precision import check_margin, expected_precision
from tlbench.reports.tables.negative_flips import negative_flips
from tlbench.reports.tables.negative_transfer import negative_transfer
from tlbench.reports.tables.ranks import ranks
from tlbench.reports.tables.scores import accuracy, transfer
from tlbench.reports.tables.subgroups import class_deltas, group_deltas
from tlbench.reports.tables.summary import summary
from tlbench.suite import Suite

__all__ = [
    "ACROSS",
    "ACROSS_KINDS",
    "FORMATS",
    "FULL",
    "KINDS",
    "MAIN",
    "TABLE_KINDS",
    "TIDY",
    "Ranking",
    "Table",
    "accuracy",
    "check_margin",
    "check_table",
    "class_deltas",
    "compare",
    "cost_details",
    "count_distinct",
    "escape_control",
    "expected_precision",
    "frame",
    "group_deltas",
    "negative_flips",
    "negative_transfer",
    "pareto_table",
    "ranking",
    "ranks",
    "render",
    "rule_selections",
    "summary",
    "tables",
    "tables_over_suites",
    "throughput",
    "transfer",
]

KINDS = tuple(TABLE_KINDS)
"""All kinds of table, in their order."""

FULL = KINDS[1:]
"""The kinds of full tables: all but the summary."""

ACROSS = tuple(ACROSS_KINDS)
"""The kinds of tables over all suites, in their order."""

MAIN = ("accuracy", "transfer", "negative_transfer", "throughput")
"""The kinds that answer the three questions: does transfer help, can it hurt, and what does it cost."""


def check_table(which: str) -> None:
    """Refuse a name that stands for no table.

    Raises:
        TlbenchError: the kind is unknown.
    """
    if which not in ("main", "all", *KINDS, *ACROSS):
        raise TlbenchError(unknown_name("table", which, ["main", "all", *KINDS, *ACROSS]))


def tables(
    frame: pd.DataFrame,
    which: str = "all",
    flips: pd.DataFrame | None = None,
    margin: float | None = None,
    suites: Iterable[Suite] = (),
    selections: pd.DataFrame | None = None,
) -> list[Table]:
    """The tables of every suite (and version) in a frame, in the frame's order.

    Args:
        frame: from `reports.frame`.
        which: one of `KINDS`, "main" for those in `MAIN`, or "all" for the full tables.
        flips: from `reports.negative_flips`, which reads files; without them their columns are blank, and deltas of
            deterministic entries have no test.
        margin: a desired margin of error in units of the metric; captions say how many seeds it takes.
        suites: suites from files of their own, for the published levels of their baselines; those of shipped suites are known.
        selections: from `reports.rule_selections`, which reads files; without it there are no tables of selection.

    Raises:
        TlbenchError: the kind is unknown, or the frame has no records.
    """
    check_table(which)
    if which in ACROSS:
        raise TlbenchError(f"{which!r} is a table over all suites. `tables_over_suites` makes it.")
    kinds = {"all": FULL, "main": MAIN}.get(which, (which,))
    require_records(frame)
    own = tuple(suites)
    inputs = [
        TableInputs(of_suite, flips, margin, own, selections)
        for _, of_suite in frame.groupby(["suite", "suite_version"], sort=False)
    ]
    with shared_cubes(of_suite.frame for of_suite in inputs):
        return [table for of_suite in inputs for kind in kinds for table in TABLE_KINDS[kind].tables(of_suite)]


def tables_over_suites(
    frame: pd.DataFrame,
    which: str,
    *,
    flips: pd.DataFrame | None = None,
    selections: pd.DataFrame | None = None,
    families: Mapping[str, str] | None = None,
    suites: Sequence[str] = (),
) -> list[Table]:
    """The tables of one kind over all suites of a frame.

    Args:
        frame: from `reports.frame`.
        which: one of `ACROSS`.
        flips: those of `tables`.
        selections: those of `tables`.
        families: the family of each method; without it methods are of one family.
        suites: the suites whose published figures are shown; empty: those of all suites.

    Raises:
        TlbenchError: the kind is unknown, or the frame has no records.
    """
    if which not in ACROSS:
        raise TlbenchError(unknown_name("table over suites", which, ACROSS))
    summaries = [] if which in ("published", "rules") else tables(frame, "summary", flips)
    require_records(frame)
    by_suite = results_by_suite(frame, summaries)
    return ACROSS_KINDS[which].tables(AcrossInputs(frame, by_suite, families or {}, selections, suites))
