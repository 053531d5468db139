"""Tables -> pictures, as PNG for slides and SVG for print and pages; nothing is computed here that a table does not hold."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

import pandas as pd
from matplotlib.figure import Figure

from tlbench import reports
from tlbench.plots.cost import accuracy_and_cost
from tlbench.plots.critical_difference import critical_difference
from tlbench.plots.curves import sweep_curves, training_curves
from tlbench.plots.delta_heat_map import heat_map
from tlbench.plots.style import size, styled, svg, write
from tlbench.reports import Table
from tlbench.reports.tables.traces import traces
from tlbench.terms import Record

__all__ = ["Picture", "draw_plots", "size", "styled", "suite_plots", "svg", "traces"]


@dataclass(frozen=True, eq=False)
class Picture:
    """A picture of one suite: `kind` names its file, `said` what is seen, `caption` that of its table."""

    kind: str
    title: str
    said: str
    caption: str
    figure: Figure


def draw_plots(records: Sequence[Record], out: Path) -> list[Path]:
    """Write all pictures of all suites to `out`/<suite>-v<version>-<kind>.png and .svg.

    Raises TlbenchError for no record at all and for a place that can't be written to.
    """
    reports.frame(records)
    made = reports.tables(reports.frame(records))
    written: list[Path] = []
    with styled():
        for suite, of_suite in groupby(made, key=lambda table: table.suite):
            own = [r for r in records if f"{r.suite} v{r.suite_version}" == suite]
            for picture in suite_plots(list(of_suite), own[-1].baseline, traces(own)):
                stem = out / _file_name(f"{suite.replace(' v', '-v')}-{picture.kind}")
                written += write(picture.figure, stem, picture.title, picture.caption)
    return written


def suite_plots(tables: Sequence[Table], baseline: str | None, curves: pd.DataFrame) -> Iterator[Picture]:
    """The pictures of one suite, one at a time, from all its tables, its baseline and its `traces`.

    Inside `styled()`. A picture that there is nothing for is left out.
    """
    number = {"delta": 0, "cost": 0}
    for table in tables:
        figure, kind, said = None, table.kind, ""
        if kind == "transfer":
            number["delta"] += 1
            figure, said = heat_map(table), "Each cell is a method on a pair."
            kind = "delta" if number["delta"] == 1 else f"delta-{number['delta']}"
        elif kind == "frontier":
            number["cost"] += 1
            figure, said = accuracy_and_cost(table, baseline), "Each point is a method; the dashed line is the Pareto front."
            kind = "cost" if number["cost"] == 1 else f"cost-{number['cost']}"
        elif kind == "ranks":
            figure, said = critical_difference(table), "Methods under one bar are not told apart."
        elif kind == "accuracy":
            figure, said = (
                sweep_curves(table),
                "Each panel is a sweep; bands (up to five methods) are 95 % CIs over seeds.",
            )
            kind = "sweep"
        if figure is not None:
            yield Picture(kind, table.title, said, f"{said} {table.caption}", figure)
    if tables:
        order = [str(row) for table in tables if table.kind == "accuracy" for row in table.cells.index]
        figure = training_curves(curves, order)
        if figure is not None:
            said = (
                "Medians over all pairs and seeds of a method, bands (up to five methods) from quartile to quartile. "
                "No target label is in them."
            )
            yield Picture("training", f"{tables[0].suite}: while they train", said, said, figure)


def _file_name(text: str) -> str:
    return re.sub(r"[^A-Za-z0-9_.-]", "_", text)
