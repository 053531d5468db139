"""The selection gap: the accuracy of what a rule selects on each method, and that of the oracle."""

from __future__ import annotations

import numpy as np
from matplotlib.figure import Figure

from tlbench.plots import style
from tlbench.reports import Table

RULES = {"last": "last step", "source_risk": "source risk", "im": "IM", "bnm": "BNM"}
"""The rules that are drawn, with their names in the legend."""
ORACLE = "oracle (reads target labels)"


def selection_gap(table: Table) -> Figure | None:
    """A line per method from the worst of the rules shown to the oracle; None for a table that has no accuracy by rule."""
    data = table.data
    accuracy = data[(data["quantity"] == "accuracy") & data["subgroup"].isin(list(RULES))]
    if accuracy.empty:
        return None
    wide = accuracy.pivot_table(index="entry", columns="subgroup", values="value", sort=False)
    regret = data[(data["quantity"] == "regret") & (data["subgroup"] == "last")].set_index("entry")["value"]
    if "last" not in wide:
        return None
    wide = wide.assign(oracle=wide["last"] + regret.reindex(wide.index)).sort_values("oracle")
    figure = Figure(figsize=(4.6, 0.6 + 0.21 * len(wide)), layout="constrained")
    axes = figure.subplots()
    at = np.arange(len(wide))
    axes.hlines(at, wide.min(axis=1), wide.max(axis=1), color=style.GRID, linewidth=1.4, zorder=1)
    shown = [rule for rule in RULES if rule in wide]
    for number, rule in enumerate([*shown, "oracle"]):
        look = style.line_style(number) | {"linestyle": "none", "markersize": 4.5}
        if rule == "oracle":
            look |= {"color": style.INK, "marker": "|", "markersize": 9, "markeredgewidth": 1.6}
        axes.plot(wide[rule], at, label=RULES.get(rule, ORACLE), **look)
    axes.set_yticks(at, [style.display_name(str(entry), 28) for entry in wide.index])
    axes.set_xlabel("target accuracy of the selected candidate (per cent)")
    axes.grid(axis="x")
    axes.set_axisbelow(True)
    handles, labels = axes.get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=3)
    return figure
