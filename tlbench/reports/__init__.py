"""Tables from records: every mean, interval, delta and rank is computed here and never stored.

`frame` flattens records. `accuracy`, `transfer`, `negative_transfer`, `throughput` and the others make the tables of one
suite, `tables` those of all suites, and `render` writes tables as text, Markdown, LaTeX, CSV, JSON or HTML.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

import pandas as pd

from tlbench.errors import TlbenchError, unknown_name
from tlbench.escaping import escape_control
from tlbench.reports.comparison import compare
from tlbench.reports.formats.output import FORMATS, render
from tlbench.reports.frames import frame, require_records
from tlbench.reports.statistics.average_ranks import Ranking, ranking
from tlbench.reports.sweeps import count_distinct
from tlbench.reports.table import TIDY, Table
from tlbench.reports.tables.cost import cost_details, pareto_table, throughput
from tlbench.reports.tables.expected_precision import check_margin, expected_precision
from tlbench.reports.tables.negative_flips import negative_flips
from tlbench.reports.tables.negative_transfer import negative_transfer
from tlbench.reports.tables.ranks import ranks
from tlbench.reports.tables.scores import accuracy, transfer
from tlbench.reports.tables.streams import streams
from tlbench.reports.tables.subgroups import class_deltas, group_deltas
from tlbench.suite import Suite

__all__ = [
    "FORMATS",
    "KINDS",
    "MAIN",
    "TIDY",
    "Ranking",
    "Table",
    "accuracy",
    "check_margin",
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
    "tables",
    "throughput",
    "transfer",
]

KINDS = (
    "accuracy",
    "ranks",
    "transfer",
    "negative_transfer",
    "classes",
    "groups",
    "stream",
    "throughput",
    "frontier",
    "detail",
)
"""All kinds of table, in their order."""

MAIN = ("accuracy", "transfer", "negative_transfer", "throughput")
"""The kinds that answer the three questions: does transfer help, can it hurt, and what does it cost."""


def tables(
    frame: pd.DataFrame,
    which: str = "all",
    flips: pd.DataFrame | None = None,
    margin: float | None = None,
    suites: Iterable[Suite] = (),
) -> list[Table]:
    """The tables of every suite (and version) in a frame, in the frame's order.

    Args:
        frame: from `reports.frame`.
        which: one of `KINDS`, "main" for those in `MAIN`, or "all".
        flips: from `reports.negative_flips`, which reads files; without them their columns are blank, and deltas of
            deterministic entries have no test.
        margin: a desired margin of error in units of the metric; captions say how many seeds it takes.
        suites: suites from files of their own, for the published levels of their baselines; those of shipped suites are known.

    Raises:
        TlbenchError: the kind is unknown, or the frame has no records.
    """
    kinds = {"all": KINDS, "main": MAIN}.get(which, (which,))
    if not set(kinds) <= set(KINDS):
        raise TlbenchError(unknown_name("table", which, ["all", "main", *KINDS]))
    require_records(frame)
    own = tuple(suites)
    makers: dict[str, Callable[[pd.DataFrame], list[Table]]] = {
        "accuracy": lambda suite: [accuracy(suite, margin)],
        "ranks": ranks,
        "transfer": lambda suite: transfer(suite, margin, flips, own),
        "negative_transfer": lambda suite: negative_transfer(suite, flips, own),
        "classes": class_deltas,
        "groups": group_deltas,
        "stream": streams,
        "throughput": throughput,
        "frontier": pareto_table,
        "detail": cost_details,
    }
    by_suite = [of_suite for _, of_suite in frame.groupby(["suite", "suite_version"], sort=False)]
    return [table for of_suite in by_suite for kind in kinds for table in makers[kind](of_suite)]
