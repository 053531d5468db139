"""Tables -> text for a terminal, Markdown, LaTeX, CSV or JSON. Names from records are hostile until escaped here."""

from __future__ import annotations

import json
import re
import textwrap
import unicodedata
from collections.abc import Callable, Iterator, Sequence

import pandas as pd
from tabulate import MIN_PADDING, tabulate

from tlbench.reports.table import TIDY, Table
from tlbench.terms import TlbenchError

FORMATS = ("text", "markdown", "latex", "csv", "json")

WIDTH = 160
"""Columns of a terminal that text is wrapped to unless told."""

_LINE = 100
"""Columns that a caption is filled to, for reading."""

_UNSEEN = {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}

_LATEX = {char: f"\\{char}" for char in "&%$#_{}"} | {
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    "[": "{[}",  # after a line's \\ a bracket or a star would be an argument
    "]": "{]}",
    "*": "{*}",
    "±": r"$\pm$",
    "…": r"\dots{}",
}
_MARKDOWN = re.compile(r"[\\`*|<>&~$\[\]]|(?<![^\W_])_|_(?![^\W_])")  # an underscore within a word marks nothing up


def render(tables: Sequence[Table], format: str = "text", width: int | None = None) -> str:
    """All tables in one of `FORMATS`, ending in a newline.

    `width` (default 160) is for text: a wider table goes on in further blocks below, each with the row names. csv is
    one tidy frame of all tables, json holds cells and data of each. Raises TlbenchError for an unknown format.
    """
    if format not in FORMATS:
        raise TlbenchError(f"no format {format!r}; there are {', '.join(FORMATS)}")
    if format == "csv":
        return _csv(tables)
    if format == "json":
        return _json(tables)
    if not tables:
        return f"{'% ' if format == 'latex' else ''}No such table: the records hold nothing to fill it with.\n"
    if format == "text":
        return "\n".join(_text(table, width or WIDTH) for table in tables)
    return "\n".join((_latex if format == "latex" else _markdown)(table) for table in tables)


def legible(text: str) -> str:
    """Text on one line that moves no cursor and turns no direction: what is not printable is shown by its code point.

    That is every character of Unicode's categories C (controls, ANSI's escape among them, formats, surrogates) and the
    line and paragraph separators.
    """
    if text.isascii() and text.isprintable():
        return text
    return "".join(_code(char) if unicodedata.category(char) in _UNSEEN else char for char in text)


def _code(char: str) -> str:
    code = ord(char)
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def _cells(table: Table, escape: Callable[[str], str]) -> list[list[str]]:
    """Header and rows as text, the row's name first, each one made safe."""
    header = [str(table.cells.index.name), *table.cells.columns]
    rows = zip(table.cells.index, *(table.cells[column] for column in table.cells.columns), strict=True)
    return [[escape(legible(str(cell))) for cell in row] for row in (header, *rows)]


def _tabulate(cells: list[list[str]], format: str) -> str:
    return str(
        tabulate(
            cells[1:],
            headers=cells[0],
            tablefmt=format,
            disable_numparse=True,
            colalign=("left",) + ("right",) * (len(cells[0]) - 1),
        )
    )


def _text(table: Table, width: int) -> str:
    cells = _cells(table, lambda cell: cell)
    blocks = [_tabulate([[row[at] for at in block] for row in cells], "simple") for block in _blocks(cells, width)]
    caption = textwrap.fill(legible(table.caption), min(width, _LINE), break_on_hyphens=False)
    return "\n\n".join([legible(table.title), *blocks, caption]) + "\n"


def _blocks(cells: list[list[str]], width: int) -> Iterator[list[int]]:
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


def _markdown(table: Table) -> str:
    def escape(text: str) -> str:
        return _MARKDOWN.sub(lambda mark: f"&#{ord(mark[0])};", text)

    title, caption = escape(legible(table.title)), escape(legible(table.caption))
    return f"### {title}\n\n{_tabulate(_cells(table, escape), 'pipe')}\n\n{caption}\n"


def _latex(table: Table) -> str:
    """A booktabs table; a wide one needs `\\resizebox` or a landscape page around it."""

    def escape(text: str) -> str:
        return re.sub(r"(?<![^ ])-(?=\d)", "$-$", "".join(_LATEX.get(char, char) for char in text))

    rules = iter(("\\toprule", "\\midrule", "\\bottomrule"))
    lines = _tabulate(_cells(table, escape), "latex_raw").splitlines()
    body = "\n".join(next(rules) if line.strip() == "\\hline" else line.rstrip() for line in lines)
    title, caption = escape(legible(table.title)), escape(legible(table.caption))
    return (
        "% needs \\usepackage{booktabs}\n\\begin{table}\n\\centering\n"
        f"\\caption{{{title}. {caption}}}\n{body}\n\\end{{table}}\n"
    )


def _csv(tables: Sequence[Table]) -> str:
    data = pd.concat([table.data for table in tables]) if tables else pd.DataFrame(columns=list(TIDY))
    safe = {name: data[name].map(legible, na_action="ignore") for name in ("suite", "table", "row", "pair")}
    return str(data.assign(**safe).to_csv(index=False, lineterminator="\n"))


def _json(tables: Sequence[Table]) -> str:
    """{"tables": [{suite, kind, title, caption, cells: {columns, index, data}, data: [{...} of `TIDY`]}]}."""
    made = [
        {
            **{key: getattr(table, key) for key in ("suite", "kind", "title", "caption")},
            "cells": table.cells.to_dict("split"),
            "data": table.data.astype(object).where(table.data.notna(), None).to_dict("records"),
        }
        for table in tables
    ]
    return json.dumps({"tables": made}, indent=1, allow_nan=False) + "\n"
