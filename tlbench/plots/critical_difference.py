"""The critical-difference diagram: average ranks on a line, and bars over method entries that do not differ significantly.

Demsar, Statistical Comparisons of Classifiers over Multiple Data Sets, JMLR 7, 2006, figure 1.
https://www.jmlr.org/papers/v7/demsar06a.html
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pandas as pd
from matplotlib.figure import Figure

from tlbench.plots import style
from tlbench.reports import Ranking, Table


def critical_difference(table: Table) -> Figure | None:
    """The diagram of a table of ranks; None without ranks."""
    entry_values = table.data[table.data["subgroup"].isna()]
    rank = entry_values[entry_values["quantity"] == "average_rank"].set_index("entry")["value"]
    if rank.empty:
        return None
    critical = float(entry_values.loc[entry_values["quantity"] == "critical_difference", "value"].iloc[0])
    p = float(entry_values.loc[entry_values["quantity"] == "friedman_p", "value"].iloc[0])
    members = table.data[table.data["quantity"] == "group"]
    bars = [rank[group["entry"]] for _, group in members.groupby("subgroup", sort=False)]
    return _diagram(rank, (critical, p), bars, "pairs")


def rank_diagram(ranking: Ranking, title: str, counts: str) -> Figure:
    """The diagram of a ranking over suites, with its title and what it is over."""
    rank = pd.Series(ranking.average_rank, index=list(ranking.entries))
    bars = [rank[list(group)] for group in ranking.groups]
    figure = _diagram(rank, (ranking.critical_difference, ranking.p), bars, "suites")
    style.add_title(figure, title, counts)
    return figure


def _diagram(rank: pd.Series[Any], tests: tuple[float, float], bars: Sequence[pd.Series[Any]], over: str) -> Figure:
    """The diagram.

    Args:
        rank: the average rank of each entry, best first.
        tests: the critical difference, and the p-value of Friedman's test.
        bars: the ranks of the entries of each group that do not differ significantly.
        over: what the ranks are averaged over.
    """
    critical, p = tests
    count, left_count = len(rank), (len(rank) + 1) // 2
    step, top = 0.21, 0.42
    bar_step = 0.1
    depth = top + bar_step * len(bars)
    height = depth + step * left_count + 0.25
    figure = Figure(figsize=(6.3, height))
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set_axis_off()
    low, high = 1, max(count, 2)
    axes.set_xlim(low - 0.52 * (high - low), high + 0.52 * (high - low))
    axes.set_ylim(height, 0)
    ink: dict[str, Any] = {"color": style.INK, "solid_capstyle": "butt", "clip_on": False}
    axes.plot([low, high], [top, top], linewidth=0.8, **ink)
    for tick in range(low, high + 1, -(-high // 15)):
        axes.plot([tick, tick], [top - 0.05, top], linewidth=0.8, **ink)
        axes.text(tick, top - 0.08, str(tick), ha="center", va="bottom", fontsize=7)
    shown = min(critical, high - low)
    axes.plot([low, low + shown], [0.12, 0.12], linewidth=1.6, **ink)
    cut = "" if critical <= high - low else ", wider than the axis: no difference is significant"
    axes.text(
        low + shown + 0.02 * (high - low), 0.12, f"critical difference {critical:.2f}{cut}", ha="left", va="center", fontsize=7
    )
    for number, of in enumerate(bars):
        at = top + 0.09 + bar_step * number
        axes.plot([of.min() - 0.02 * count / 10, of.max() + 0.02 * count / 10], [at, at], linewidth=2.6, **ink)
    for position, (entry, value) in enumerate(rank.items()):
        left = position < left_count
        at = depth + step * ((position if left else count - 1 - position) + 0.6)
        edge = low - 0.04 * (high - low) if left else high + 0.04 * (high - low)
        axes.plot([value, value, edge], [top, at, at], linewidth=0.6, **ink)
        text = f"{style.display_name(str(entry))}  {value:.2f}" if left else f"{value:.2f}  {style.display_name(str(entry))}"
        offset: Any = {"xytext": (-3 if left else 3, 0), "textcoords": "offset points"}
        axes.annotate(
            text, (edge, at), ha="right" if left else "left", va="center", fontsize=7.5, annotation_clip=False, **offset
        )
    axes.text(
        (low + high) / 2,
        height - 0.02,
        f"average rank over {over}, 1 is best (Friedman p = {p:.2g}; bars: no significant difference)",
        ha="center",
        va="bottom",
        fontsize=7,
    )
    return figure
