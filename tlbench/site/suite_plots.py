"""The plots of a site as SVG, one suite after the other, on several cores where there are many suites."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import pandas as pd
from joblib import Parallel, cpu_count, delayed

from tlbench import plots
from tlbench.reports import Table
from tlbench.terms import Record

SUITES_A_CORE = 4
"""A process takes about as long to start as the plots of two suites take to draw."""


@dataclass(frozen=True)
class SuitePlots:
    """A picture as SVG text; `kind` names its file, `description` says what it shows."""

    kind: str
    title: str
    description: str
    vector: str


def draw_suites(suites: Sequence[tuple[Sequence[Table], Sequence[Record]]]) -> Iterator[list[SuitePlots]]:
    """The plots of each suite, from all its tables and records, in order; those of later suites are drawn meanwhile."""
    processes = max(1, min(cpu_count(), len(suites) // SUITES_A_CORE))
    # the curves, not the records: these would take longer to pass on than the pictures to draw
    asked = ((tables, records[-1].baseline, plots.traces(records)) for tables, records in suites)
    if processes == 1:
        yield from (_of_suite(*one) for one in asked)
    else:
        yield from Parallel(n_jobs=processes, return_as="generator")(delayed(_of_suite)(*one) for one in asked)


def _of_suite(tables: Sequence[Table], baseline: str | None, curves: pd.DataFrame) -> list[SuitePlots]:
    with plots.styled():
        return [
            SuitePlots(one.kind, one.title, one.description, plots.svg(one.figure, one.title, one.caption))
            for one in plots.suite_plots(tables, baseline, curves)
        ]
