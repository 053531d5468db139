"""Label budgets: the curve of `target_only`, and where it reaches each method."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

from tlbench.metrics import METRICS
from tlbench.plots import style
from tlbench.plots.curves import label_panels, make_panels
from tlbench.reports import Table
from tlbench.reports.sweeps import sweep_groups
from tlbench.reports.tables.label_budgets import REFERENCE


def break_even_curves(table: Table) -> Figure | None:
    """A panel per sweep: the reference against labels a class, and a level for each method with its break-even and 95 % CI.

    A break-even outside of the measured budgets has no marker; an end of an interval outside of them is drawn to their end.
    None where the table has no curve.
    """
    data = table.data[table.data["pair"].notna()]
    curve = data[(data["entry"] == REFERENCE) & (data["quantity"] == "curve")]
    groups = {
        sweep: pairs for sweep, pairs in sweep_groups(curve["pair"].unique(), table.levels).items() if sweep.kind == "labels"
    }
    if not groups:
        return None
    figure, panels = make_panels(len(groups), share_y=True)
    for axes, (sweep, pairs) in zip(panels, groups.items(), strict=True):
        levels = sorted(pairs.items(), key=lambda item: item[1])
        labels_L = np.array([level for _, level in levels], dtype=np.float64)
        of_reference = {
            name: _values(data, REFERENCE, name).reindex([pair for pair, _ in levels]).to_numpy(dtype=np.float64)
            for name in ("curve", "curve_low", "curve_high")
        }
        look = style.line_style(0)
        axes.plot(labels_L, of_reference["curve"], label=REFERENCE, **look)
        axes.fill_between(
            labels_L, of_reference["curve_low"], of_reference["curve_high"], color=look["color"], alpha=0.12, lw=0
        )
        for number, entry in enumerate(table.cells.index, 1):
            facts = {
                name: _values(data, str(entry), name).get(levels[0][0], np.nan) for name in ("mean", "labels", "low", "high")
            }
            _level(axes, number, str(entry), facts, labels_L)
        axes.set_title(style.display_name(sweep.pair, 44))
        axes.set_xscale("log")
        axes.xaxis.set_major_locator(FixedLocator(labels_L.tolist()))
        axes.xaxis.set_minor_locator(NullLocator())
        axes.xaxis.set_major_formatter(FuncFormatter(style.plain_number))
    measure = METRICS[table.metric]
    label_panels(figure, panels, "labelled target samples per class", f"{measure.title} ({measure.unit})")
    return figure


def _values(data: Any, entry: str, quantity: str) -> Any:
    """A quantity of an entry by pair."""
    return data[(data["entry"] == entry) & (data["quantity"] == quantity)].set_index("pair")["value"]


def _level(axes: Axes, number: int, entry: str, facts: dict[str, float], labels_L: Any) -> None:
    """A line at the score of an entry, its break-even and the interval of that."""
    if np.isnan(facts["mean"]):
        return
    look = style.line_style(number)
    axes.axhline(facts["mean"], label=style.display_name(entry, 24), color=look["color"], linestyle=":", linewidth=1.0)
    if not labels_L[0] <= facts["labels"] <= labels_L[-1]:
        return
    axes.plot([facts["labels"]], [facts["mean"]], color=look["color"], marker=look.get("marker", "o"), linestyle="")
    if np.isnan(facts["low"]) and np.isnan(facts["high"]):  # too few seeds for an interval
        return
    low, high = (np.clip(np.nan_to_num(facts[name], nan=labels_L[-1]), labels_L[0], labels_L[-1]) for name in ("low", "high"))
    axes.plot([low, high], [facts["mean"]] * 2, color=look["color"], linewidth=2.5, alpha=0.6, solid_capstyle="butt")
