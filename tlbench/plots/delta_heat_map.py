"""The heat map of deltas: a row per pair, a column per method, the number in each cell, a mark where it is significant."""

from __future__ import annotations

import matplotlib as mpl
import numpy as np
import numpy.typing as npt
import pandas as pd
from matplotlib.colors import Normalize
from matplotlib.figure import Figure

from tlbench.metrics import METRICS
from tlbench.plots import style
from tlbench.reports import Table
from tlbench.reports.table import number_text

MARK = {1.0: "\N{THIN SPACE}▲", -1.0: "\N{THIN SPACE}▼"}
"""The signs of significantly better and worse cells, by the marks of the table; they show in black and white too."""

BLANK = "\N{EN DASH}"

_CELL = (0.55, 0.235)
"""Width and height of a cell in inches."""

MEAN = "mean of all pairs"


def heat_map(table: Table) -> Figure | None:
    """Pairs x methods of a table of deltas, the mean of all pairs on top; None where no cell has a value."""
    data = table.data
    cell, whole = data[data["pair"].notna()], data[data["pair"].isna() & data["subgroup"].isna()]
    if cell[cell["quantity"] == "mean"].empty:
        return None
    entries = table.cells.index
    there = set(cell["pair"])
    pairs = pd.Index([column for column in table.cells.columns if column in there], dtype=object)
    value = _wide(cell, "mean", entries, pairs)
    mark = _wide(cell, "mark", entries, pairs)
    mean = whole[whole["quantity"] == "mean"].set_index("entry")["value"].reindex(entries).to_numpy(dtype=np.float64)
    verdict = whole[whole["quantity"] == "verdict"].set_index("entry")["value"].reindex(entries).to_numpy(dtype=np.float64)
    higher = METRICS[table.metric].higher_is_better
    unit = str(cell.loc[cell["quantity"] == "mean", "unit"].iloc[0])
    value, mark = np.vstack([mean, value]), np.vstack([verdict, mark])
    width, height = _CELL[0] * len(entries), _CELL[1] * len(value)
    figure = Figure(figsize=(width, height))
    axes = figure.add_axes((0, 0, 1, 1))  # names and scale stand around it: what is written is cut to fit
    largest = float(np.nanquantile(np.abs(value), 0.98)) or 1.0  # one collapsed pair must not bleach all others
    colours = mpl.colormaps["RdBu" if higher else "RdBu_r"]
    scale = Normalize(-largest, largest, clip=True)
    image = axes.pcolormesh(value, cmap=colours, norm=scale, edgecolor="white", linewidth=0.4)
    _numbers(axes, value, mark, colours(scale(value)), METRICS[table.metric].unit == "per cent")
    axes.invert_yaxis()
    axes.axhline(1, color="white", linewidth=3)
    axes.set_yticks(np.arange(len(value)) + 0.5, [MEAN, *(style.display_name(pair, 56) for pair in pairs)])
    axes.set_xticks(
        np.arange(len(entries)) + 0.5,
        [style.display_name(entry) for entry in entries],
        rotation=40,
        ha="left",
        rotation_mode="anchor",
    )
    axes.xaxis.tick_top()
    axes.tick_params(length=0)
    axes.set_ylabel("pair (source:target)")
    axes.spines[:].set_visible(False)
    axes.text(0, len(value) + 0.35, f"▲ significantly better; ▼ significantly worse; {BLANK} missing", va="top", fontsize=7)
    clipped = bool((np.nan_to_num(np.abs(value)) > largest).any())
    below = figure.add_axes((0, -0.5 / height, max(width, 2.5) / width, 0.11 / height))
    bar = figure.colorbar(image, cax=below, orientation="horizontal", extend="both" if clipped else "neither", extendfrac=0.03)
    bar.set_label(f"{table.title.split(': ', 1)[-1]} ({unit})")
    bar.outline.set_visible(False)
    return figure


def _wide(cell: pd.DataFrame, quantity: str, entries: pd.Index[str], pairs: pd.Index[str]) -> npt.NDArray[np.float64]:
    """One quantity as an array (pairs, methods)."""
    of = cell[cell["quantity"] == quantity]
    return (
        of.pivot(index="pair", columns="entry", values="value").reindex(index=pairs, columns=entries).to_numpy(dtype=np.float64)
    )


def _numbers(
    axes: mpl.axes.Axes,
    value: npt.NDArray[np.float64],
    mark: npt.NDArray[np.float64],
    colour: npt.NDArray[np.float64],
    cent: bool,
) -> None:
    light = (colour[..., :3] @ (0.299, 0.587, 0.114)) > 0.55
    for at in np.ndindex(value.shape):
        number = float(value[at])
        where = at[1] + 0.5, at[0] + 0.53
        if np.isnan(number):
            axes.text(*where, BLANK, ha="center", va="center", color=style.INK, in_layout=False)
            continue
        signed = number_text(number, signed=True) if cent else f"{number:+.3g}"
        text = signed.replace("-", "\N{MINUS SIGN}") + MARK.get(float(mark[at]), "")
        # not the ink, which turns light on a dark page: the cell keeps its colour there
        axes.text(
            *where, text, ha="center", va="center", fontsize=6.5, color="#101010" if light[at] else "white", in_layout=False
        )
