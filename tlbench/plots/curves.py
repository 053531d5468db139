"""Curves: the metric against the levels of a sweep, and the traces of training."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, MaxNLocator, NullFormatter, NullLocator

from tlbench.metrics import REGRESSION_METRICS
from tlbench.plots import style
from tlbench.reports import Table
from tlbench.reports.sweeps import sweep_groups
from tlbench.reports.tables.traces import QUANTITIES

BANDED = 5
"""With more lines in a panel their bands hide each other, and none is drawn."""

_ACROSS = 3
"""Panels in a row."""

_SIZES = {1: (4.6, 2.9), 2: (3.2, 2.4)}
"""Width and height in inches of a panel, where there are few."""


def sweep_curves(table: Table) -> Figure | None:
    """The metric of a table of accuracy against severity or labelled target samples, a panel per sweep.

    None where no two pairs belong to one sweep.
    """
    cell = table.data[table.data["pair"].notna() & table.data["quantity"].isin(("mean", "low", "high"))]
    groups = sweep_groups(cell["pair"].unique(), table.levels)
    if not groups:
        return None
    unit = str(cell["unit"].iloc[0])
    of_labels = f"labelled target samples{'' if table.metric in REGRESSION_METRICS else ' per class'}"
    figure, panels = make_panels(len(groups), share_y=True)
    for axes, (of, steps) in zip(panels, groups.items(), strict=True):
        for number, entry in enumerate(table.cells.index):
            wide = cell[(cell["entry"] == entry) & cell["pair"].isin(list(steps))]
            wide = wide.pivot(index="pair", columns="quantity", values="value").reindex(columns=["mean", "low", "high"])
            wide = wide.assign(step=[steps[pair] for pair in wide.index]).sort_values("step").dropna(subset=["mean"])
            _curve(axes, number, str(entry), wide["step"], wide, band=len(table.cells) <= BANDED)
        axes.set_title(style.display_name(of.pair, 44))
        axes.set_xlabel(of_labels if of.kind == "labels" else "severity")
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        if of.kind == "labels":  # each label counts for less than the one before
            axes.set_xscale("log")
            axes.xaxis.set_major_locator(FixedLocator(sorted(steps.values())))
            axes.xaxis.set_minor_locator(NullLocator())
            axes.xaxis.set_major_formatter(FuncFormatter(style.plain_number))
    if unit == "per cent" and table.metric != "r2":  # an interval may reach beyond what is possible
        low, high = panels[0].get_ylim()
        panels[0].set_ylim(max(low, -2), min(high, 102))
    label_panels(figure, panels, "", f"{table.title.split(': ', 1)[-1]} ({unit})")
    return figure


def training_curves(frame: pd.DataFrame, order: list[str]) -> Figure | None:
    """Median and quartiles by step of `reports.traces`, a panel per quantity; None without any.

    `order` is that of the method entries in the other plots, which decides their colours.
    """
    quantities = [quantity for quantity in QUANTITIES if (frame["quantity"] == quantity).any()]
    if not quantities:
        return None
    figure, panels = make_panels(len(quantities), share_y=False)
    entries = [entry for entry in order if (frame["entry"] == entry).any()]
    for axes, quantity in zip(panels, quantities, strict=True):
        for entry in entries:
            number = order.index(entry)  # the colour that it has in the other pictures
            of = frame[(frame["entry"] == entry) & (frame["quantity"] == quantity)].sort_values("step")
            _curve(axes, number, entry, of["step"], of.rename(columns={"median": "mean"}), band=len(entries) <= BANDED)
        axes.set_title(QUANTITIES[quantity])
        axes.xaxis.set_major_locator(MaxNLocator(5, integer=True))
        if (
            quantity == "loss"
            and (positive := frame.loc[frame["quantity"] == "loss", "median"]).min() > 0
            and positive.max() > 20 * positive.min()
        ):
            axes.set_yscale("log")
            axes.yaxis.set_major_formatter(FuncFormatter(style.plain_number))
            axes.yaxis.set_minor_formatter(NullFormatter())
    label_panels(figure, panels, "training step", "")
    return figure


def make_panels(count: int, *, share_y: bool) -> tuple[Figure, list[Axes]]:
    """A figure with a number of panels, and these."""
    across = min(count, _ACROSS)
    down = -(-count // across)
    width, height = _SIZES.get(count, (2.5, 2.1))
    figure = Figure(figsize=(width * across + 0.5, height * down + 0.5), layout="constrained")
    grid: Any = figure.subplots(down, across, squeeze=False, sharey=share_y)
    panels: list[Axes] = list(grid.flat)
    for spare in panels[count:]:
        spare.remove()
    return figure, panels[:count]


def _curve(axes: Axes, number: int, entry: str, x: pd.Series[Any], of: pd.DataFrame, *, band: bool) -> None:
    look = style.line_style(number)
    axes.plot(x, of["mean"], label=style.display_name(entry, 24), **look)
    if not band:
        return
    low, high = of["low"].to_numpy(dtype=np.float64), of["high"].to_numpy(dtype=np.float64)
    axes.fill_between(x, low, high, color=look["color"], alpha=0.12, linewidth=0)


def label_panels(figure: Figure, panels: list[Axes], x: str, y: str) -> None:
    """Draw grids, the labels of the axes and the legend.

    Args:
        figure: from `make_panels`.
        panels: its panels, each with the same lines.
        x: the label of the horizontal axes; empty: none.
        y: the label of the vertical axes.
    """
    for axes in panels:
        axes.grid(axis="y")
        if x:
            axes.set_xlabel(x)
    for axes in panels[:: min(len(panels), _ACROSS)]:
        axes.set_ylabel(y)
    handles, labels = panels[0].get_legend_handles_labels()
    figure.legend(
        handles,
        labels,
        loc="outside lower center",
        ncols=min(len(labels), 2 * len({id(a) for a in panels}) if len(panels) < 3 else 5),
    )
