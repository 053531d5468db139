"""Records -> tables: every mean, interval, delta and rank of the house is born in this room.

`frame` flattens records, `accuracy`, `transfer`, `throughput` and their like make the tables of one suite, `tables` those
of all of them, and `render` writes tables as text, Markdown, LaTeX, CSV, JSON or HTML.
"""

from __future__ import annotations

from collections.abc import Callable

import pandas as pd

from tlbench.errors import TlbenchError
from tlbench.reports.comparison import compare
from tlbench.reports.formats.escaping import escape_control
from tlbench.reports.formats.output import FORMATS, render
from tlbench.reports.frames import frame, not_empty
from tlbench.reports.statistics.average_ranks import Ranking, ranking, ranks
from tlbench.reports.table import TIDY, Table
from tlbench.reports.tables.cost import cost_details, pareto_table, throughput
from tlbench.reports.tables.negative_flips import negative_flips
from tlbench.reports.tables.negative_transfer import negative_transfer
from tlbench.reports.tables.scores import accuracy, transfer
from tlbench.reports.tables.subgroups import class_deltas, group_deltas

__all__ = [
    "FORMATS",
    "KINDS",
    "MAIN",
    "TIDY",
    "Ranking",
    "Table",
    "accuracy",
    "class_deltas",
    "compare",
    "cost_details",
    "escape_control",
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

KINDS = ("accuracy", "ranks", "transfer", "harm", "classes", "groups", "throughput", "frontier", "detail")
"""All kinds of table, in the order in which they are made."""

MAIN = ("accuracy", "transfer", "harm", "throughput")
"""The kinds that answer the three questions: does it help, does it hurt, what does it cost."""


def tables(
    frame: pd.DataFrame, which: str = "all", flips: pd.DataFrame | None = None, half_width: float | None = None
) -> list[Table]:
    """The tables of every suite (and version of it) in the frame, in the frame's order; `which` is a kind, "main" or "all".

    `flips` are those of `reports.flips`, which reads files; without them their columns are blank. `half_width` is one that
    the reader wants: captions say how many seeds it takes.

    Raises TlbenchError for an unknown kind and for a frame without records.
    """
    kinds = {"all": KINDS, "main": MAIN}.get(which, (which,))
    if not set(kinds) <= set(KINDS):
        raise TlbenchError(f"no table {which!r}; there are all, main, {', '.join(KINDS)}")
    not_empty(frame)
    makers: dict[str, Callable[[pd.DataFrame], list[Table]]] = {
        "accuracy": lambda part: [accuracy(part, half_width)],
        "ranks": ranks,
        "transfer": lambda part: transfer(part, half_width),
        "harm": lambda part: negative_transfer(part, flips),
        "classes": class_deltas,
        "groups": group_deltas,
        "throughput": throughput,
        "frontier": pareto_table,
        "detail": cost_details,
    }
    parts = [part for _, part in frame.groupby(["suite", "suite_version"], sort=False)]
    return [table for part in parts for kind in kinds for table in makers[kind](part)]
