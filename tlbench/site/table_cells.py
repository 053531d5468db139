"""Tables for the templates: cells of text, each with its sort key and its mark."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from itertools import groupby

import pandas as pd

from tlbench import reports
from tlbench.reports import Table
from tlbench.site.alignment import aligned, is_text

_NUMBER = re.compile(r"[-+]?\d[\d,]*\.?\d*(?:e[-+]?\d+)?")
_UNITS = {"ms": "0.001", "s": "1", "min": "60", "h": "3600", "/s": "1", "k/s": "1000", "M/s": "1000000"}
"""The factors of the units that times and rates of one column are in."""
_QUANTITY = re.compile(r"([\d.]+) ?(ms|s|min|h|k/s|M/s|/s)")
_COMMON_UNITS = {"ms": "s", "s": "s", "min": "s", "h": "s", "/s": "/s", "k/s": "/s", "M/s": "/s"}
"""The unit in which a column of the page has times and rates."""
_WORDS = {"worse": "-1", "n.s.": "0", "equal": "0", "better": "1"}
_CLASSES = {"better", "worse", "best", "second", "text"}
_FORMULA = re.compile(r"(?![-+]?[\d.,]+( ± [\d.,]+)?( \*)?$)[=+\-@\t\r]")
"""Text that a spreadsheet would run as a formula: no number, delta or interval."""


@dataclass(frozen=True)
class Cell:
    """The text of a cell, its sort key where that is not the text's first number or word, and its class in the page's style."""

    text: str
    order: str = ""
    mark: str = ""


@dataclass(frozen=True)
class Row:
    """A row of a table: its name, the link of the name, and its cells."""

    name: str
    link: str | None
    cells: Sequence[Cell]


@dataclass(frozen=True)
class PageTable:
    """A table on a page, in groups of rows with a heading each; `csv` and `json` are paths from the root of the site."""

    id: str
    kind: str
    title: str
    caption: str
    columns: Sequence[str]
    groups: Sequence[tuple[str, Sequence[Row]]]
    section: str = ""
    """The section of the page on statistics that explains the table."""
    csv: str = ""
    json: str = ""

    @property
    def rows(self) -> list[Row]:
        """The rows of all groups."""
        return [row for _, rows in self.groups for row in rows]

    @property
    def left(self) -> list[int]:
        """The numbers of the columns of text, the first one being 1; they are aligned to the left."""
        columns = zip(*(row.cells for row in self.rows), strict=True)
        return [
            1,
            *(at for at, cells in enumerate(columns, 2) if is_text([cell.text for cell in cells if cell.mark != "text"])),
        ]

    def aligned_groups(self) -> list[tuple[str, list[Row]]]:
        """The groups with the numbers of each column aligned on their points, for the page alone."""
        columns = [_aligned(cells) for cells in zip(*(row.cells for row in self.rows), strict=True)]
        texts = iter(zip(*columns, strict=True)) if columns else iter(() for _ in self.rows)
        return [
            (
                heading,
                [
                    replace(row, cells=[replace(cell, text=text) for cell, text in zip(row.cells, next(texts), strict=True)])
                    for row in rows
                ],
            )
            for heading, rows in self.groups
        ]


def cell(text: str, mark: str = "") -> Cell:
    """A cell with its sort key: that of a verdict, the number after a name; else the text says it itself.

    Times are in seconds and rates per second, whatever unit the text has.

    The mark "text" sorts by the text in any case.
    """
    classes = " ".join(word for word in mark.split() if word in _CLASSES)
    if text in _WORDS:
        return Cell(text, _WORDS[text], classes or (text if text in _CLASSES else ""))
    if "text" in classes:
        return Cell(text, text if text[:1] in "+-0123456789±" else "", classes)
    if match := _QUANTITY.fullmatch(text):  # in the unit of the column's heading, with the digits that the table has
        value = Decimal(match[1]) * Decimal(_UNITS[match[2]])
        return Cell(f"{value.normalize():,f}" if value >= 100 else f"{value:f}", "", classes)
    if text[:1] in "+-0123456789±":
        return Cell(text, "", classes)
    values = _NUMBER.findall(text)[-1:] if " " in text else []
    return Cell(text, values[0].replace(",", "") if values else "", classes)


def _aligned(cells: Sequence[Cell]) -> list[str]:
    """The texts of a column, aligned where they are numbers."""
    texts = [cell.text for cell in cells]
    return texts if any(cell.mark == "text" for cell in cells) else aligned(texts)


def page_table(table: Table, name: str, link: Callable[[str], str | None] = lambda row: None) -> PageTable:
    """A table of the reports; `name` is its id on the page."""
    marks = table.marks if table.marks is not None else pd.DataFrame("", table.cells.index, table.cells.columns)
    rows = [
        Row(str(row), link(str(row)), [cell(str(text), str(mark)) for text, mark in zip(texts, marked, strict=True)])
        for row, texts, marked in zip(
            table.cells.index,
            table.cells.itertuples(index=False, name=None),
            marks.itertuples(index=False, name=None),
            strict=True,
        )
    ]
    named = zip(table.groups or [""] * len(rows), rows, strict=True)
    groups = [(heading, [row for _, row in group]) for heading, group in groupby(named, key=lambda one: one[0])]
    columns = [str(table.cells.index.name), *(_heading(str(name), list(texts)) for name, texts in table.cells.items())]
    return PageTable(name, table.kind, table.title, table.short_caption, columns, groups, table.section)


def _heading(name: str, texts: Sequence[str]) -> str:
    """The heading of a column, with the unit of its times or rates, which its cells leave out."""
    units = {_COMMON_UNITS[match[2]] for text in texts if (match := _QUANTITY.fullmatch(text))}
    return f"{name}{' ' if units == {'s'} else ''}{units.pop()}" if len(units) == 1 else name


def plain_table(name: str, title: str, caption: str, columns: Sequence[str], rows: Iterable[Row]) -> PageTable:
    """A table that is not from the reports: of suites, methods or records.

    Args:
        name: its id on the page.
        title: its heading.
        caption: one line below it.
        columns: the headers of all columns but the first.
        rows: a name and cells each.
    """
    return PageTable(name, "plain", title, caption, columns, [("", list(rows))])


def at(table: PageTable, stem: str) -> PageTable:
    """The table with the paths of its downloads."""
    return replace(table, csv=f"{stem}.csv", json=f"{stem}.json")


def marks_of(delta: Table) -> dict[str, dict[str, list[str]]]:
    """For each entry the pairs on which it is significantly better, significantly worse, or neither, with their deltas."""
    pairs = set(delta.data.loc[delta.data["pair"].notna(), "pair"])
    marks = delta.marks if delta.marks is not None else pd.DataFrame("", delta.cells.index, delta.cells.columns)
    values: dict[str, dict[str, list[str]]] = {}
    for pair in (column for column in delta.cells.columns if column in pairs):
        for row, text, mark in zip(delta.cells.index, delta.cells[pair], marks[pair], strict=True):
            if text:
                of = values.setdefault(str(row), {"better": [], "worse": [], "n.s.": []})
                of[mark or "n.s."].append(f"{pair} ({text.partition(' ')[0]})")
    return values


def files(table: Table, shown: PageTable) -> dict[str, str]:
    """The contents of the two downloads of a table: its numbers or, where it holds none, its cells."""
    if len(table.data):
        return {shown.csv: reports.render([table], "csv"), shown.json: reports.render([table], "json")}
    return cells_files(shown)


def cells_files(shown: PageTable) -> dict[str, str]:
    """As `files`, from the cells of a table of a page."""
    columns = [reports.escape_control(column) for column in shown.columns]
    lines = [[reports.escape_control(text) for text in (row.name, *(cell.text for cell in row.cells))] for row in shown.rows]
    text = io.StringIO()
    safe = [[f"'{cell}" if _FORMULA.match(cell) else cell for cell in line] for line in (columns, *lines)]
    csv.writer(text, lineterminator="\n").writerows(safe)
    objects = ",\n".join(json.dumps(dict(zip(columns, line, strict=True)), ensure_ascii=False) for line in lines)
    return {shown.csv: text.getvalue(), shown.json: f"[{objects}]\n"}
