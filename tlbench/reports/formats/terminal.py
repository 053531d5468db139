"""Tables on a terminal with colours, by rich."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from rich.box import SIMPLE_HEAD
from rich.console import Console, RenderableType
from rich.padding import Padding
from rich.table import Table as Grid
from rich.text import Text

from tlbench.escaping import escape_control
from tlbench.reports.formats.output import blocks, caption, cells_of, marks_of
from tlbench.reports.table import Table

STYLES = {"best": "bold", "second": "underline", "better": "green", "worse": "red", "front": "bold", "undecided": "dim"}
"""Mark -> style of rich; a sign, a star or a word of the table always says the same as a colour."""


def show(tables: Sequence[Table], console: Console) -> None:
    """Print tables; the columns of one that is wider than the console continue in further blocks below."""
    for table in tables:
        for block in _renderables(table, console.width):
            console.print(block, highlight=False)


def _renderables(table: Table, width: int) -> Iterator[RenderableType]:
    cells, marks = cells_of(table), marks_of(table)
    yield Text(escape_control(table.title), style="bold")
    for block in blocks(cells, width - 2):
        grid = Grid(box=SIMPLE_HEAD, padding=(0, 2, 0, 0), pad_edge=False, show_edge=False)
        for at in block:
            grid.add_column(Text(cells[0][at]), justify="right" if at else "left", no_wrap=True)
        for row, row_marks in zip(cells[1:], marks[1:], strict=True):
            styles = {at: " ".join(STYLES[mark] for mark in row_marks[at].split() if mark in STYLES) for at in block}
            grid.add_row(*(Text(row[at], style=styles[at]) for at in block))
        yield Padding(grid, (1, 0, 0, 0))
    yield Padding(Text(caption(table, width), style="dim"), (1, 0))
