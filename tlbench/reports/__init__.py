"""Records -> tables: every mean, interval, delta and rank of the house is born in this room.

`frame` flattens records, `accuracy`, `transfer` and `throughput` make the tables of one suite, `tables` those of all of
them, and `render` writes tables as text, Markdown, LaTeX, CSV or JSON.
"""

from __future__ import annotations

import pandas as pd

from tlbench.reports.costs import throughput
from tlbench.reports.frames import frame, not_empty
from tlbench.reports.output import FORMATS, legible, render
from tlbench.reports.scores import accuracy, transfer
from tlbench.reports.table import TIDY, Table
from tlbench.terms import TlbenchError

__all__ = [
    "FORMATS",
    "KINDS",
    "TIDY",
    "Table",
    "accuracy",
    "frame",
    "legible",
    "render",
    "tables",
    "throughput",
    "transfer",
]

KINDS = ("accuracy", "transfer", "throughput")


def tables(frame: pd.DataFrame, which: str = "all") -> list[Table]:
    """The tables of every suite (and version of it) in the frame, in the frame's order; `which` is a kind or "all".

    Raises TlbenchError for an unknown kind and for a frame without records.
    """
    if which not in ("all", *KINDS):
        raise TlbenchError(f"no table {which!r}; there are all, {', '.join(KINDS)}")
    not_empty(frame)
    made: list[Table] = []
    for _, part in frame.groupby(["suite", "suite_version"], sort=False):
        if which in ("all", "accuracy"):
            made.append(accuracy(part))
        if which in ("all", "transfer"):
            made.extend(transfer(part))
        if which in ("all", "throughput"):
            made.extend(throughput(part))
    return made
