"""Accuracy against cost: a point per method entry, and the Pareto front of those that no other dominates."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.text import Annotation, Text
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

from tlbench.metrics import METRICS
from tlbench.plots import style
from tlbench.reports import Table
from tlbench.reports.tables.cost import pareto_front

COSTS: Mapping[str, tuple[str, float]] = {
    "train_samples_per_second": ("training throughput (samples/s), more is better", -1.0),
    "train_seconds": ("training time of a case (s), less is better", 1.0),
}
"""Quantity -> (the axis in words, 1 where less is better)."""

_AXES_POSITION = {"left": 0.08, "right": 0.99, "bottom": 0.24, "top": 0.98, "wspace": 0.08}
"""The position of the two axes in the figure, in shares of it."""

NAMED = 16
"""With more method entries than this only those on the front and the baseline are named."""

_LABEL_OFFSETS = tuple(
    (dx * r, dy * r)
    for r in (1.0, 1.7, 2.6)
    for dx, dy in ((5, 0), (-5, 0), (4, 5), (4, -5), (-4, 5), (-4, -5), (0, 7), (0, -7))
)
"""Offsets in points at which a label is tried, the nearest first."""


def accuracy_and_cost(table: Table, baseline: str | None = None) -> Figure | None:
    """The metric against throughput and against time, from a "frontier" table; None where fewer than two rows have both."""
    wide = table.data.pivot(index="entry", columns="quantity", values="value").reindex(table.cells.index)
    wide = wide.reindex(columns=["score", *COSTS]).dropna()
    wide = wide[(wide[list(COSTS)] > 0).all(axis=1)]  # what trains on no sample has no place on an axis of powers
    if len(wide) < 2:
        return None
    metric = METRICS[table.metric]
    better = 1.0 if metric.higher_is_better else -1.0
    figure = Figure(figsize=(6.8, 3.1))
    left, right = figure.subplots(1, 2, sharey=True, gridspec_kw=_AXES_POSITION)
    for axes, (quantity, (words, less)) in zip((left, right), COSTS.items(), strict=True):
        front = (
            pareto_front(better * wide["score"].to_numpy(dtype=np.float64), less * wide[quantity].to_numpy(dtype=np.float64))
            == 1
        )
        _plot_points(axes, wide, quantity, front, baseline)
        axes.set_xscale("log")
        span = wide[quantity].max() / wide[quantity].min()
        axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5) if span < 50 else (1,)))
        axes.xaxis.set_major_formatter(FuncFormatter(style.plain_number))
        axes.xaxis.set_minor_formatter(NullFormatter())
        axes.set_xlabel(words)
        axes.grid(visible=True)
        axes.set_axisbelow(True)
        axes.margins(x=0.25, y=0.12)
    left.set_ylabel(f"{metric.title} ({metric.unit}), {'more' if better > 0 else 'less'} is better")
    handles, labels = right.get_legend_handles_labels()
    figure.legend(handles, labels, loc="lower center", ncols=len(labels))
    for axes in (left, right):
        _position_labels(figure, axes)
    return figure


def _plot_points(axes: Axes, wide: pd.DataFrame, quantity: str, front: npt.NDArray[np.bool_], baseline: str | None) -> None:
    base = np.array([entry == baseline for entry in wide.index])
    kinds: tuple[tuple[str, npt.NDArray[np.bool_], dict[str, Any]], ...] = (
        ("on the Pareto front", front & ~base, {"color": style.COLOURS[0], "marker": "o"}),
        ("dominated", ~front & ~base, {"color": style.COLOURS[6], "marker": "o", "markerfacecolor": "none"}),
        (f"baseline ({style.display_name(str(baseline))})", base, {"color": style.COLOURS[1], "marker": "D"}),
    )
    for label, of, look in kinds:
        if of.any():
            axes.plot(wide.loc[of, quantity], wide.loc[of, "score"], linestyle="none", markersize=4.5, label=label, **look)
    front_points = wide[front].sort_values(quantity)
    axes.plot(front_points[quantity], front_points["score"], color=style.COLOURS[0], linewidth=0.9, linestyle="--", zorder=1)
    for (entry, point), is_front, is_base in zip(wide.iterrows(), front, base, strict=True):
        if len(wide) <= NAMED or is_front or is_base:
            axes.annotate(
                style.display_name(str(entry), 22),
                (point[quantity], point["score"]),
                xytext=_LABEL_OFFSETS[0],
                textcoords="offset points",
                fontsize=6.5,
                fontweight="bold" if is_front else "normal",
                annotation_clip=False,
                arrowprops={"arrowstyle": "-", "linewidth": 0.4, "color": style.COLOURS[6], "shrinkA": 0, "shrinkB": 2},
            )


def _position_labels(figure: Figure, axes: Axes) -> None:
    """Move each label to the nearest offset where it covers no point and no earlier label, or to the best one."""
    renderer = FigureCanvasAgg(figure).get_renderer()  # type: ignore[no-untyped-call]
    axes.autoscale_view()  # else what follows is placed by limits that are not yet those of the points
    names = [text for text in axes.texts if isinstance(text, Annotation)]
    for text in names:
        text.update_positions(renderer)
    inside = axes.get_window_extent(renderer)
    size = 4.5 * figure.dpi / 72
    points = [
        (x - size / 2, y - size / 2, x + size / 2, y + size / 2)
        for line in axes.lines[:-1]
        for x, y in axes.transData.transform(np.column_stack([line.get_xdata(), line.get_ydata()]))
    ]
    corners = axes.transData.transform(np.column_stack([axes.lines[-1].get_xdata(), axes.lines[-1].get_ydata()]))
    for start, end in itertools.pairwise(corners):
        points += [(x - 1, y - 1, x + 1, y + 1) for x, y in np.linspace(start, end, 60)]
    taken: list[tuple[float, ...]] = []
    for text in sorted(names, key=lambda t: t.get_fontweight() != "bold"):
        tried: list[tuple[float, int, tuple[float, float], tuple[float, ...]]] = []
        for dx, dy in _LABEL_OFFSETS:
            text.set_position((dx, dy))
            text.set_horizontalalignment("left" if dx > 0 else "right" if dx < 0 else "center")
            text.set_verticalalignment("center" if dy == 0 else "bottom" if dy > 0 else "top")
            # the fonts of browsers are up to some per cent wider than this one
            box = tuple(Text.get_window_extent(text, renderer).expanded(1.08, 1.1).extents)
            out = box[0] < inside.x0 - 2 or box[2] > inside.x1 + 4 or box[1] < inside.y0 or box[3] > inside.y1
            covered = _overlap(box, np.array([*points, *taken])) + 1e6 * out
            tried.append((3 * covered + dx * dx + dy * dy, len(tried), (dx, dy), box))
        _, _, (dx, dy), box = min(tried)
        text.set_position((dx, dy))
        text.set_horizontalalignment("left" if dx > 0 else "right" if dx < 0 else "center")
        text.set_verticalalignment("center" if dy == 0 else "bottom" if dy > 0 else "top")
        taken.append(box)


def _overlap(box: tuple[float, ...], others_N4: npt.NDArray[np.float64]) -> float:
    """The area that a box (x0, y0, x1, y1) shares with others, those counted one by one."""
    wide_N = np.minimum(box[2], others_N4[:, 2]) - np.maximum(box[0], others_N4[:, 0])
    high_N = np.minimum(box[3], others_N4[:, 3]) - np.maximum(box[1], others_N4[:, 1])
    return float((wide_N.clip(0) * high_N.clip(0)).sum())
