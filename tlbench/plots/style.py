"""The style of all plots: small sans-serif type, thin axes, colours that are safe for the colour-blind, and escaped names."""

from __future__ import annotations

import contextlib
import io
import os
import re
import textwrap
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure

from tlbench.errors import TlbenchError
from tlbench.reports import escape_control

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#7F7F7F", "#8C564B")
"""Okabe and Ito's palette without black and yellow, which a dark and a white page swallow; then grey and brown."""

MARKERS = "osD^vPX*"
DASHES = ("-", "--", ":", "-.")

INK, GRID = "#1b1e22", "#b9bec4"
"""The colours of text and axes, and of grid lines. An SVG takes them from the page's light or dark scheme."""

HELPS, HURTS = "#2166ac", "#b2182b"
"""The ends of ColorBrewer's RdBu, which is safe for the colour-blind."""

_RC: Any = {
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans"],
    "font.size": 8,
    "axes.titlesize": 9,
    "axes.labelsize": 8,
    "xtick.labelsize": 7.5,
    "ytick.labelsize": 7.5,
    "legend.fontsize": 7.5,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.linewidth": 0.7,
    "axes.edgecolor": INK,
    "axes.labelcolor": INK,
    "axes.titlecolor": INK,
    "text.color": INK,
    "xtick.color": INK,
    "ytick.color": INK,
    "grid.color": GRID,
    "grid.linewidth": 0.4,
    "legend.frameon": False,
    "figure.facecolor": "none",
    "axes.facecolor": "none",
    "savefig.facecolor": "none",
    "svg.fonttype": "none",  # text stays text: it can be read aloud, found and edited
    "svg.hashsalt": "tlbench",  # the same picture twice is the same file
    "text.parse_math": False,  # a method may be named $\frac$
    "axes.unicode_minus": True,
}

_SCHEMES = (
    f"<style>svg{{color:{INK};--grid:{GRID}}}"
    "@media(prefers-color-scheme:dark){svg{color:#e6e8ea;--grid:#555c64}}"
    "text{font-family:'DejaVu Sans',Verdana,sans-serif}</style>"
)


@contextlib.contextmanager
def styled() -> Iterator[None]:
    """Apply the style; plots are drawn and written inside this block."""
    with mpl.rc_context(_RC), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing from")  # names may be of any script
        yield


def display_name(text: str, longest: int = 32) -> str:
    """A name from records as a plot shows it: escaped, on one line, cut to `longest` characters."""
    text = escape_control(str(text))
    return text if len(text) <= longest else text[: longest - 1] + "…"


def plain_number(value: float, position: int | None = None) -> str:
    """A tick of a logarithmic axis, without powers: as in 0.01, 500, 20k and 3M. Matplotlib passes `position` too."""
    for size, letter in ((1e9, "G"), (1e6, "M"), (1e4, "k")):
        if value >= size:
            return f"{value / (1e3 if letter == 'k' else size):g}{letter}"
    return np.format_float_positional(value, precision=6, fractional=False, trim="-")


def line_style(number: int) -> dict[str, Any]:
    """Colour, marker and dashes of the n-th line of a plot: eight colours, then other dashes."""
    return {
        "color": COLOURS[number % len(COLOURS)],
        "marker": MARKERS[number % len(MARKERS)],
        "linestyle": DASHES[number // len(COLOURS) % len(DASHES)],
        "markersize": 3.2,
        "linewidth": 1.1,
    }


def add_title(figure: Figure, title: str, counts: str) -> None:
    """Write a title above all that the figure shows, in as many lines as its width takes.

    Args:
        figure: the finished plot.
        title: the suite, and what is shown.
        counts: what it is over, as in "12 pairs, 3 seeds", on a line of its own.
    """
    if figure.get_layout_engine() is not None:  # which moves the axes as the figure is drawn
        figure.draw_without_rendering()
    box = figure.get_tightbbox()
    width, height = figure.get_size_inches()
    characters = max(24, int(box.width * 72 / 5.4))
    lines = [line for text in (title, counts) for line in textwrap.wrap(escape_control(text), characters)]
    top = (box.y1 + 0.08) / height
    figure.text(box.x0 / width, top, "\n".join(lines), fontsize=9, fontweight="bold", ha="left", va="bottom")


def svg(figure: Figure, title: str, description: str) -> str:
    """The figure as SVG text, titled for screen readers, its ink following the light or dark scheme of the page."""
    out = io.StringIO()
    figure.savefig(out, format="svg", metadata={"Date": None, "Creator": None}, bbox_inches="tight", pad_inches=0.05)
    text = re.sub(r"<metadata>.*?</metadata>", "", out.getvalue(), count=1, flags=re.DOTALL)
    text = text.replace(INK, "currentColor").replace(GRID, "var(--grid)")
    description_tags = f"<title>{_xml(title)}</title><desc>{_xml(description)}</desc>"
    return re.sub(r"(<svg\b[^>]*)(>)", lambda m: f'{m[1]} role="img"{m[2]}{description_tags}{_SCHEMES}', text, count=1)


def svg_size(vector: str) -> tuple[int, int]:
    """Width and height of an SVG of `svg` in CSS pixels."""
    points = re.search(r'viewBox="0 0 ([\d.]+) ([\d.]+)"', vector)
    width, height = points.groups() if points else ("640", "480")
    return round(float(width) * 4 / 3), round(float(height) * 4 / 3)


def write_figure(figure: Figure, stem: Path, title: str, description: str) -> list[Path]:
    """Write `stem`.png (200 dots per inch, on white) and `stem`.svg.

    Args:
        figure: the plot.
        stem: the path without a suffix; its folder is created.
        title: for screen readers and PNG metadata.
        description: likewise.

    Raises:
        TlbenchError: the folder can't be written to.
    """
    png, vector = stem.with_name(f"{stem.name}.png"), stem.with_name(f"{stem.name}.svg")
    try:
        stem.parent.mkdir(parents=True, exist_ok=True)
        for path in (png, vector):
            temporary = path.with_name(f".{path.name}.{os.getpid()}.part")
            try:
                if path is png:
                    metadata = {"Software": None, "Title": title, "Description": description}
                    figure.savefig(temporary, format="png", dpi=200, bbox_inches="tight", facecolor="white", metadata=metadata)
                else:
                    temporary.write_text(svg(figure, title, description), encoding="utf-8")
                temporary.replace(path)
            finally:
                temporary.unlink(missing_ok=True)
    except OSError as error:
        raise TlbenchError(f"Plots can't be written to {stem.parent}: {error.strerror}. Name another directory.") from error
    return [png, vector]


def _xml(text: str) -> str:
    return escape_control(text).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
