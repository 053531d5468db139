"""Tables -> text for a terminal, Markdown, LaTeX, CSV, JSON or HTML. Names from records are hostile until escaped here."""

from __future__ import annotations

import html
import json
import re
import textwrap
from collections.abc import Callable, Iterator, Sequence

import pandas as pd
from tabulate import MIN_PADDING, tabulate

from tlbench.errors import TlbenchError
from tlbench.reports.formats import latex
from tlbench.reports.formats.escaping import escape_control
from tlbench.reports.formats.json_schema import Tables
from tlbench.reports.table import TIDY, Table

FORMATS = ("text", "markdown", "latex", "csv", "json", "html")

WIDTH = {"text": 160, "markdown": 120, "latex": 76}
"""Columns that a table fills before it goes on in a further one, unless told. Markdown: what a page shows without scrolling;
LaTeX: what a page of small print holds."""

_LINE = 100
"""Columns that a caption is filled to, for reading."""

_MARKDOWN = re.compile(r"[\\`*|<>&~$\[\]]|(?<![^\W_])_|_(?![^\W_])")  # an underscore within a word marks nothing up
_FORMULA = re.compile(r"^(?=[=+\-@\t\r])")

Cells = list[list[str]]
"""Header and rows, the row's name first."""


def render(tables: Sequence[Table], format: str = "text", width: int | None = None) -> str:
    """All tables in one of `FORMATS`, ending in a newline.

    `width` is for text, Markdown and LaTeX: a wider table goes on in further ones below, each with the row names. csv is
    one tidy frame of all tables, json holds cells and data of each. Raises TlbenchError for an unknown format.
    """
    if format not in FORMATS:
        raise TlbenchError(f"no format {format!r}; there are {', '.join(FORMATS)}")
    if format == "csv":
        return _csv(tables)
    if format == "json":
        return json.dumps(Tables.of(tables).model_dump(by_alias=True), indent=1, allow_nan=False) + "\n"
    none = "No such table: the records hold nothing to fill it with."
    if not tables:
        return {"latex": f"% {none}\n", "html": f"<p>{none}</p>\n"}.get(format, f"{none}\n")
    if format == "html":
        return "".join(map(_html, tables))
    write = {"text": _text, "markdown": _markdown, "latex": _latex}[format]
    made = [write(table, width or WIDTH[format]) for table in tables]
    return latex.joined(made) if format == "latex" else "\n".join(made)


def cells_of(table: Table, escape: Callable[[str], str] = str) -> Cells:
    """Header and rows as text, the row's name first, each one made safe."""
    header = [str(table.cells.index.name), *table.cells.columns]
    rows = zip(table.cells.index, *(table.cells[column] for column in table.cells.columns), strict=True)
    return [[escape(escape_control(str(cell))) for cell in row] for row in (header, *rows)]


def marks_of(table: Table) -> Cells:
    """The marks of the cells in the places of `cells_of`; the names have none."""
    shape = table.cells
    marks = pd.DataFrame("", shape.index, shape.columns) if table.marks is None else table.marks
    return [[""] * (1 + len(shape.columns)), *(["", *row] for row in marks.to_numpy().tolist())]


def blocks(cells: Cells, width: int) -> Iterator[list[int]]:
    """The column numbers of each block: always the name, then as many columns as fit, at least one."""
    header, rows = cells[0], cells[1:]
    name, *widths = (max(len(title) + MIN_PADDING, *(len(row[at]) for row in rows)) for at, title in enumerate(header))
    block, used = [0], name
    for at, needed in enumerate(widths, start=1):
        if len(block) > 1 and used + 2 + needed > width:
            yield block
            block, used = [0], name
        block.append(at)
        used += 2 + needed
    yield block


def _tabulate(cells: Cells, block: list[int], format: str) -> str:
    header, *rows = ([row[at] for at in block] for row in cells)
    alignment = ("left",) + ("right",) * (len(block) - 1)
    return str(tabulate(rows, headers=header, tablefmt=format, disable_numparse=True, colalign=alignment))


def _text(table: Table, width: int) -> str:
    cells = cells_of(table)
    made = [_tabulate(cells, block, "simple") for block in blocks(cells, width)]
    return "\n\n".join([escape_control(table.title), *made, caption(table, width)]) + "\n"


def caption(table: Table, width: int) -> str:
    """The caption filled for reading on a terminal."""
    return textwrap.fill(escape_control(table.caption), min(width, _LINE), break_on_hyphens=False)


def _markdown(table: Table, width: int) -> str:
    def escape(text: str) -> str:
        return _MARKDOWN.sub(lambda mark: f"&#{ord(mark[0])};", text)

    shown = list(blocks(cells_of(table), width))
    cells = [
        [f"**{cell}**" if "best" in mark.split() else cell for cell, mark in zip(row, marks, strict=True)]
        for row, marks in zip(cells_of(table, escape), marks_of(table), strict=True)
    ]
    made = [_tabulate(cells, block, "pipe") for block in shown]
    return "\n\n".join([f"### {escape(escape_control(table.title))}", *made, escape(escape_control(table.caption))]) + "\n"


def _latex(table: Table, width: int) -> str:
    plain = cells_of(table)
    cells = [
        [latex.emphasised(latex.cell(text), mark.split()) for text, mark in zip(row, marks, strict=True)]
        for row, marks in zip(plain, marks_of(table), strict=True)
    ]
    bodies = [_tabulate(cells, block, "latex_raw") for block in blocks(plain, width)]
    return latex.floats(escape_control(table.title), escape_control(table.caption), bodies)


def _html(table: Table) -> str:
    """A <table> that asks for no style: marks are classes, the caption holds title and caption."""

    def tag(name: str, text: str, mark: str = "", scope: str = "") -> str:
        attributes = f' scope="{scope}"' * bool(scope) + f' class="{html.escape(mark)}"' * bool(mark)
        return f"<{name}{attributes}>{text}</{name}>"

    header, *rows = cells_of(table, html.escape)
    _, *marks = marks_of(table)
    head = "".join(tag("th", cell, scope="col") for cell in header)
    body = "\n".join(
        "<tr>"
        + tag("th", row[0], scope="row")
        + "".join(map(lambda cell, mark: tag("td", cell, mark), row[1:], of[1:]))
        + "</tr>"
        for row, of in zip(rows, marks, strict=True)
    )
    title, said = html.escape(escape_control(table.title)), html.escape(escape_control(table.caption))
    return (
        f'<table class="{html.escape(table.kind)}">\n<caption><strong>{title}</strong> {said}</caption>\n'
        f"<thead><tr>{head}</tr></thead>\n<tbody>\n{body}\n</tbody>\n</table>\n"
    )


def _csv(tables: Sequence[Table]) -> str:
    """Names that a spreadsheet would take for a formula get an apostrophe in front."""
    data = pd.concat([table.data for table in tables]) if tables else pd.DataFrame(columns=list(TIDY))
    names = ("suite", "table", "entry", "pair", "part")
    safe = {
        name: data[name].map(lambda text: _FORMULA.sub("'", escape_control(str(text))), na_action="ignore") for name in names
    }
    return str(data.assign(**safe).to_csv(index=False, lineterminator="\n"))
