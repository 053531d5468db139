"""Tables as text for a terminal, Markdown, LaTeX, CSV, JSON or HTML.

Names from records are untrusted; every format escapes them here.
"""

from __future__ import annotations

import html
import json
import re
from collections.abc import Callable, Iterator, Sequence

import pandas as pd
from tabulate import MIN_PADDING, tabulate

from tlbench.errors import TlbenchError, unknown_name
from tlbench.escaping import escape_control
from tlbench.reports.formats import latex, plain_text
from tlbench.reports.formats.json_schema import Tables
from tlbench.reports.formats.plain_text import Cells
from tlbench.reports.table import TIDY, Table

FORMATS = ("text", "markdown", "latex", "csv", "json", "html")

WIDTH = {"text": 160, "markdown": 120, "latex": 76}
"""The default width in characters, beyond which the columns of a table continue in a further block below.

For Markdown it is what a page shows without scrolling, for LaTeX what fits on a page in \\small.
"""

_MARKDOWN = re.compile(r"[\\`*|<>&~$\[\]]|(?<![^\W_])_|_(?![^\W_])")  # an underscore within a word is no markup
_FORMULA = re.compile(r"^(?=[=+\-@\t\r])")


def render(tables: Sequence[Table], format: str = "text", width: int | None = None) -> str:
    """All tables in one format, ending in a newline.

    Args:
        tables: from `reports.tables` or `reports.compare`.
        format: one of `FORMATS`. csv is one tidy frame of all tables, json holds the cells and the data of each.
        width: of text, Markdown and LaTeX, in characters; the columns of a wider table continue in further blocks below,
            each with the names of the rows. `WIDTH` has the defaults.

    Raises:
        TlbenchError: the format is unknown.
    """
    if format not in FORMATS:
        raise TlbenchError(unknown_name("format", format, FORMATS))
    if format == "csv":
        return _csv(tables)
    if format == "json":
        return json.dumps(Tables.of(tables).model_dump(by_alias=True), indent=1, allow_nan=False) + "\n"
    if not tables:
        message = "There is no such table: the records lack the values that it shows."
        return {"latex": f"% {message}\n", "html": f"<p>{message}</p>\n"}.get(format, f"{message}\n")
    if format == "html":
        return "".join(map(_html, tables))
    write = {"text": _text, "markdown": _markdown, "latex": _latex}[format]
    texts = [write(table, width or WIDTH[format]) for table in tables]
    return latex.join_tables(texts) if format == "latex" else "\n".join(texts)


def cells_of(table: Table, escape: Callable[[str], str] = str) -> Cells:
    """The header and the rows as escaped text, each with its name first."""
    header = [str(table.cells.index.name), *table.cells.columns]
    rows = zip(table.cells.index, *(table.cells[column] for column in table.cells.columns), strict=True)
    return [[escape(escape_control(str(cell))) for cell in row] for row in (header, *rows)]


def marks_of(table: Table) -> Cells:
    """The marks of the cells in the shape of `cells_of`; names have none."""
    shape = table.cells
    marks = pd.DataFrame("", shape.index, shape.columns) if table.marks is None else table.marks
    return [[""] * (1 + len(shape.columns)), *(["", *row] for row in marks.to_numpy().tolist())]


def _blocks(cells: Cells, width: int) -> Iterator[list[int]]:
    """The column indices of each block: the name, then as many columns as fit into the width, at least one."""
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
    alignment = ["left" if plain_text.is_text(cells, at) else "right" for at in block]
    return str(tabulate(rows, headers=header, tablefmt=format, disable_numparse=True, colalign=alignment))


def _text(table: Table, width: int) -> str:
    return plain_text.render_table(table, cells_of(table), width)


def _markdown(table: Table, width: int) -> str:
    def escape(text: str) -> str:
        return _MARKDOWN.sub(lambda mark: f"&#{ord(mark[0])};", text)

    plain = cells_of(table)
    cells = [
        [f"**{cell}**" if "best" in mark.split() else cell for cell, mark in zip(row, marks, strict=True)]
        for row, marks in zip(cells_of(table, escape), marks_of(table), strict=True)
    ]
    bodies = [_tabulate(cells, block, "pipe") for block in _blocks(plain, width)]
    return "\n\n".join([f"### {escape(escape_control(table.title))}", *bodies, escape(escape_control(table.caption))]) + "\n"


def _latex(table: Table, width: int) -> str:
    plain = cells_of(table)
    cells = [
        [latex.emphasized(latex.cell(text), mark.split()) for text, mark in zip(row, marks, strict=True)]
        for row, marks in zip(plain, marks_of(table), strict=True)
    ]
    bodies = [_tabulate(cells, block, "latex_raw") for block in _blocks(plain, width)]
    return latex.floats(escape_control(table.title), escape_control(table.caption), bodies)


def _html(table: Table) -> str:
    """A <table> without styles: marks are classes, and the <caption> holds the title and the caption."""

    def tag(name: str, text: str, mark: str = "", scope: str = "") -> str:
        attributes = f' scope="{scope}"' * bool(scope) + f' class="{html.escape(mark)}"' * bool(mark)
        return f"<{name}{attributes}>{text}</{name}>"

    header, *rows = cells_of(table, html.escape)
    _, *marks = marks_of(table)
    head = "".join(tag("th", cell, scope="col") for cell in header)
    body = "\n".join(
        "<tr>"
        + tag("th", row[0], scope="row")
        + "".join(map(lambda cell, mark: tag("td", cell, mark), row[1:], row_marks[1:]))
        + "</tr>"
        for row, row_marks in zip(rows, marks, strict=True)
    )
    title, text = html.escape(escape_control(table.title)), html.escape(escape_control(table.caption))
    return (
        f'<table class="{html.escape(table.kind)}">\n<caption><strong>{title}</strong> {text}</caption>\n'
        f"<thead><tr>{head}</tr></thead>\n<tbody>\n{body}\n</tbody>\n</table>\n"
    )


def _csv(tables: Sequence[Table]) -> str:
    """One tidy frame; names that a spreadsheet would run as a formula are prefixed with an apostrophe."""
    data = pd.concat([table.data for table in tables]) if tables else pd.DataFrame(columns=list(TIDY))
    names = ("suite", "table", "entry", "pair", "subgroup")
    safe = {
        name: data[name].map(lambda text: _FORMULA.sub("'", escape_control(str(text))), na_action="ignore") for name in names
    }
    return str(data.assign(**safe).to_csv(index=False, lineterminator="\n"))
