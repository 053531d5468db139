"""Tables -> plots, as PNG for slides and SVG for print and pages; every number in a plot is in its table."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

import pandas as pd
from matplotlib.figure import Figure

from tlbench import reports
from tlbench.plots.break_even import break_even_curves
from tlbench.plots.cost import accuracy_and_cost
from tlbench.plots.critical_difference import critical_difference, rank_diagram
from tlbench.plots.curves import sweep_curves, training_curves
from tlbench.plots.delta_heat_map import heat_map
from tlbench.plots.selection_gap import selection_gap
from tlbench.plots.stream import stream_curves
from tlbench.plots.style import add_title, styled, svg, svg_size, write_figure
from tlbench.reports import Table
from tlbench.reports.tables.traces import traces
from tlbench.terms import Record

__all__ = ["Plot", "draw_plots", "rank_diagram", "styled", "suite_plots", "svg", "svg_size", "traces"]


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

    Each has a title with the suite, the numbers of pairs and seeds, and what it shows. A plot without data is left out.
    """
    counts = _counts(tables)
    number: Counter[str] = Counter()
    for table in tables:
        if table.kind not in _MAKERS:
            continue
        kind, description, make = _MAKERS[table.kind]
        figure = make(table, baseline)
        if figure is not None:
            number[kind] += 1
            add_title(figure, table.title, counts)
            name = kind if number[kind] == 1 else f"{kind}-{number[kind]}"
            yield Plot(name, table.title, description, f"{description} {table.short_caption}", figure)
    order = [str(entry) for table in tables if table.kind == "accuracy" for entry in table.cells.index]
    figure = training_curves(curves, order) if tables else None
    if figure is not None:
        title = f"{tables[0].suite}: training curves"
        add_title(figure, title, counts)
        description = (
            "Medians over all pairs and seeds of a method, bands (up to five methods) from quartile to quartile. "
            "No target label is in them."
        )
        yield Plot("training", title, description, description, figure)


_MAKERS: dict[str, tuple[str, str, Callable[[Table, str | None], Figure | None]]] = {
    "transfer": ("delta", "Each cell is a method on a pair.", lambda table, baseline: heat_map(table)),
    "frontier": ("cost", "Each point is a method; the dashed line is the Pareto front.", accuracy_and_cost),
    "ranks": (
        "ranks",
        "Method entries under one bar do not differ significantly.",
        lambda table, baseline: critical_difference(table),
    ),
    "accuracy": (
        "sweep",
        "Each panel is a sweep; bands (up to five methods) are 95 % CIs over seeds.",
        lambda table, baseline: sweep_curves(table),
    ),
    "labels": (
        "labels",
        "The curve is target_only, with its 95 % CI over seeds. A dotted line is a method; its marker is the break-even, its "
        "bar the 95 % CI of that.",
        lambda table, baseline: break_even_curves(table),
    ),
    "stream": (
        "stream",
        "Each panel is a stream; the accuracy of each of its windows, over seeds.",
        lambda table, baseline: stream_curves(table),
    ),
    "selection": (
        "selection",
        "What the last step and rules without target labels select, beside the oracle, which reads target labels.",
        lambda table, baseline: selection_gap(table),
    ),
}
"""By kind of table: the name of the plot, what it shows, and what draws it, from a table and the baseline."""


def _counts(tables: Sequence[Table]) -> str:
    """The numbers of pairs and seeds of a suite, as in "12 pairs, 3 seeds"."""
    cells = [table.data[table.data["pair"].notna()] for table in tables if table.kind == "accuracy"]
    if not cells or cells[0].empty:
        return "no finished pair"
    pairs, seeds = cells[0]["pair"].nunique(), int(cells[0].loc[cells[0]["quantity"] == "n", "value"].max())
    return f"{pairs} pair{'s' * (pairs != 1)}, {seeds} seed{'s' * (seeds != 1)}"


def _file_name(text: str) -> str:
    return re.sub(r"[^A-Za-z0-9_.-]", "_", text)
