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
        return _json(tables)
    if not tables:
        message = "There is no such table: the records lack the values that it shows."
        return {"latex": f"% {message}\n", "html": f"<p>{message}</p>\n"}.get(format, f"{message}\n")
    if format == "html":
        return "".join(map(_html, tables))
    if format == "latex":
        labelled = zip(tables, _labels(tables), strict=True)
        return latex.join_tables([_latex(table, width or WIDTH[format], label) for table, label in labelled])
    write = {"text": _text, "markdown": _markdown}[format]
    return "\n".join(write(table, width or WIDTH[format]) for table in tables)


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
    """The column indices of each block: the name, then as many columns as fit into the width, at least one.

    Blank columns are left out.
    """
    header, rows = cells[0], cells[1:]
    name, *widths = (max(len(title) + MIN_PADDING, *(len(row[at]) for row in rows)) for at, title in enumerate(header))
    block, used = [0], name
    for at, needed in enumerate(widths, start=1):
        if rows and not any(row[at] for row in rows):
            continue
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
    if table.groups:
        cells = _with_group_rows(cells, [escape(plain_text.heading(table.groups, at)) for at in range(len(cells) - 1)])
    columns = [list(range(len(plain[0])))] if table.groups else _blocks(plain, width)
    bodies = [_tabulate(cells, block, "pipe") for block in columns]
    below = [escape(escape_control(text)) for text in ((table.line, table.notes) if table.line else (table.caption,)) if text]
    if table.pointer:
        below.append(f"The statistics: [{table.pointer.partition('#')[0]}]({table.pointer}).")
    return "\n\n".join([f"### {escape(escape_control(table.title))}", *bodies, *below]) + "\n"


def _with_group_rows(cells: Cells, headings: Sequence[str]) -> Cells:
    """The cells with a line before the first of each group, which holds its heading in italics."""
    header, *body = cells
    blank = [""] * (len(header) - 1)
    lines = [header]
    for heading, line in zip(headings, body, strict=True):
        lines += [[f"*{heading.removesuffix(':')}*", *blank], line] if heading else [line]
    return lines


def _latex(table: Table, width: int, label: str) -> str:
    plain = cells_of(table)
    cells = [
        [latex.emphasized(latex.cell(text), mark.split()) for text, mark in zip(row, marks, strict=True)]
        for row, marks in zip(plain, marks_of(table), strict=True)
    ]
    headings = [plain_text.heading(table.groups, number).removesuffix(":") for number in range(len(plain) - 1)]
    columns = [list(range(len(plain[0])))] if table.groups else _blocks(plain, width)
    bodies = [latex.with_headings(_tabulate(cells, block, "latex_raw"), headings) for block in columns]
    below = ". ".join(filter(None, (table.line.removesuffix("."), table.notes))) if table.line else table.caption
    pointer = f" The statistics: {table.pointer} of tlbench." if table.pointer else ""
    notes = f"{escape_control(below).removesuffix('.')}.{pointer}"
    return latex.floats(f"{escape_control(table.title)}.", notes, label, bodies)


def _labels(tables: Sequence[Table]) -> list[str]:
    """A label for each table, such as "quickstart-v1-transfer"; further tables of a kind are numbered."""
    stems = [re.sub(r"[^a-zA-Z0-9]+", "-", f"{table.suite}-{table.kind}").strip("-") for table in tables]
    numbers = [stems[: at + 1].count(stem) for at, stem in enumerate(stems)]
    return [stem if number == 1 else f"{stem}-{number}" for stem, number in zip(stems, numbers, strict=True)]


def _html(table: Table) -> str:
    """A <table> without styles: marks are classes, and the <caption> holds the title and the caption."""

    def tag(name: str, text: str, mark: str = "", scope: str = "") -> str:
        attributes = f' scope="{scope}"' * bool(scope) + f' class="{html.escape(mark)}"' * bool(mark)
        return f"<{name}{attributes}>{text}</{name}>"

    header, *rows = cells_of(table, html.escape)
    _, *marks = marks_of(table)
    head = "".join(tag("th", cell, scope="col") for cell in header)
    headings = [html.escape(plain_text.heading(table.groups, number).removesuffix(":")) for number in range(len(rows))]
    body = "\n".join(
        (f'<tr><th scope="rowgroup" colspan="{len(header)}">{heading}</th></tr>\n' if heading else "")
        + "<tr>"
        + tag("th", row[0], scope="row")
        + "".join(map(lambda cell, mark: tag("td", cell, mark), row[1:], row_marks[1:]))
        + "</tr>"
        for heading, row, row_marks in zip(headings, rows, marks, strict=True)
    )
    pointer = f" The statistics: {table.pointer}." if table.pointer else ""
    title, text = map(html.escape, map(escape_control, (table.title, f"{table.short_caption}{pointer}")))
    return (
        f'<table class="{html.escape(table.kind)}">\n<caption><strong>{title}</strong> {text}</caption>\n'
        f"<thead><tr>{head}</tr></thead>\n<tbody>\n{body}\n</tbody>\n</table>\n"
    )


def _json(tables: Sequence[Table]) -> str:
    """The JSON of some tables, with a line for each."""
    model = Tables.of(tables).model_dump(by_alias=True)
    lines = ",\n".join(json.dumps(table, allow_nan=False) for table in model["tables"])
    return f'{{"schema": {model["schema"]}, "tables": [{lines}]}}\n'


def _csv(tables: Sequence[Table]) -> str:
    """One tidy frame; names that a spreadsheet would run as a formula are prefixed with an apostrophe."""
    data = pd.concat([table.data for table in tables]) if tables else pd.DataFrame(columns=list(TIDY))
    names = ("suite", "table", "entry", "pair", "subgroup")
    safe = {
        name: data[name].map({text: _FORMULA.sub("'", escape_control(str(text))) for text in data[name].dropna().unique()})
        for name in names
    }
    return str(data.assign(**safe).to_csv(index=False, lineterminator="\n"))
