"""Tables -> plots, as PNG for slides and SVG for print and pages; every number in a plot is in its table."""

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
from tlbench.plots.stream import stream_curves
from tlbench.plots.style import styled, svg, svg_size, write_figure
from tlbench.reports import Table
from tlbench.reports.tables.traces import traces
from tlbench.terms import Record

__all__ = ["Plot", "draw_plots", "styled", "suite_plots", "svg", "svg_size", "traces"]


@dataclass(frozen=True, eq=False)
class Plot:
    """A plot of one suite: `kind` names its file, `description` says what it shows, `caption` is that of its table."""

    kind: str
    title: str
    description: str
    caption: str
    figure: Figure


def draw_plots(records: Sequence[Record], out: Path) -> list[Path]:
    """Write all plots of all suites to `out`/<suite>-v<version>-<kind>.png and .svg.

    Raises:
        TlbenchError: there is no record, or `out` can't be written to.
    """
    reports.frame(records)
    tables = reports.tables(reports.frame(records))
    paths: list[Path] = []
    with styled():
        for suite, suite_tables in groupby(tables, key=lambda table: table.suite):
            suite_records = [r for r in records if f"{r.suite} v{r.suite_version}" == suite]
            for plot in suite_plots(list(suite_tables), suite_records[-1].baseline, traces(suite_records)):
                stem = out / _file_name(f"{suite.replace(' v', '-v')}-{plot.kind}")
                paths += write_figure(plot.figure, stem, plot.title, plot.caption)
    return paths


def suite_plots(tables: Sequence[Table], baseline: str | None, curves: pd.DataFrame) -> Iterator[Plot]:
    """The plots of one suite, one at a time, from all its tables, its baseline and its `traces`; call it inside `styled()`.

    A plot without data is left out.
    """
    number = {"delta": 0, "cost": 0}
    for table in tables:
        figure, kind, description = None, table.kind, ""
        if kind == "transfer":
            number["delta"] += 1
            figure, description = heat_map(table), "Each cell is a method on a pair."
            kind = "delta" if number["delta"] == 1 else f"delta-{number['delta']}"
        elif kind == "frontier":
            number["cost"] += 1
            figure, description = (
                accuracy_and_cost(table, baseline),
                "Each point is a method; the dashed line is the Pareto front.",
            )
            kind = "cost" if number["cost"] == 1 else f"cost-{number['cost']}"
        elif kind == "ranks":
            figure, description = critical_difference(table), "Method entries under one bar do not differ significantly."
        elif kind == "accuracy":
            figure, description = (
                sweep_curves(table),
                "Each panel is a sweep; bands (up to five methods) are 95 % CIs over seeds.",
            )
            kind = "sweep"
        elif kind == "stream":
            figure, description = (
                stream_curves(table),
                "Each panel is a stream; the accuracy of each of its windows, over seeds.",
            )
        if figure is not None:
            yield Plot(kind, table.title, description, f"{description} {table.caption}", figure)
    if tables:
        order = [str(entry) for table in tables if table.kind == "accuracy" for entry in table.cells.index]
        figure = training_curves(curves, order)
        if figure is not None:
            description = (
                "Medians over all pairs and seeds of a method, bands (up to five methods) from quartile to quartile. "
                "No target label is in them."
            )
            yield Plot("training", f"{tables[0].suite}: while they train", description, description, figure)


def _file_name(text: str) -> str:
    return re.sub(r"[^A-Za-z0-9_.-]", "_", text)
