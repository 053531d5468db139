"""The accuracy over the stream of test samples, window by window."""

from __future__ import annotations

from matplotlib.figure import Figure

from tlbench.plots import style
from tlbench.plots.curves import label_panels, make_panels
from tlbench.reports import Table
from tlbench.reports.tables.streams import WINDOW


def stream_curves(table: Table) -> Figure | None:
    """The accuracy of a table of streams by the share of the stream that has passed, a panel per pair."""
    windows = table.data[table.data["quantity"].str.startswith(WINDOW)]
    if not len(windows):
        return None
    windows = windows.assign(number=windows["quantity"].str.removeprefix(WINDOW).astype(int))
    pairs = list(dict.fromkeys(windows["pair"]))
    figure, panels = make_panels(len(pairs), share_y=True)
    for axes, pair in zip(panels, pairs, strict=True):
        of_pair = windows[windows["pair"] == pair]
        count = of_pair["number"].max()
        for number, entry in enumerate(table.cells.index):
            curve = of_pair[of_pair["entry"] == entry].sort_values("number")
            share = 100 * (curve["number"] - 0.5) / count
            axes.plot(share, curve["value"], label=style.display_name(str(entry), 24), **style.line_style(number))
        axes.set_title(style.display_name(str(pair), 44))
    label_panels(figure, panels, "share of the stream (%)", "accuracy (%)")
    return figure
