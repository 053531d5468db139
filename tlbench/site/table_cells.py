"""Tables for the templates: cells of text, each with its sort key and its mark."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace

import pandas as pd

from tlbench import reports
from tlbench.reports import Table
from tlbench.reports.tables import captions

_NUMBER = re.compile(r"[-+]?\d[\d,]*\.?\d*(?:e[-+]?\d+)?")
_WORDS = {"worse": "-1", "n.s.": "0", "equal": "0", "better": "1"}
_CLASSES = {"better", "worse", "best", "second", "text"}
_FORMULA = re.compile(r"(?![-+]?[\d.,]+( ± [\d.,]+)?( \*)?$)[=+\-@\t\r]")
"""Text that a spreadsheet would run as a formula: no number, delta or interval."""


@dataclass(frozen=True)
class Cell:
    """The text of a cell, its sort key (a number where the text holds one), and its class in the page's style."""

    text: str
    order: str
    mark: str = ""


@dataclass(frozen=True)
class Row:
    """A row of a table: its name, the link of the name, and its cells."""

    name: str
    link: str | None
    cells: Sequence[Cell]


@dataclass(frozen=True)
class PageTable:
    """A table on a page; `csv` and `json` are paths of the same table from the root of the site."""

    id: str
    kind: str
    title: str
    caption: str
    columns: Sequence[str]
    rows: Sequence[Row]
    csv: str = ""
    json: str = ""


def cell(text: str, mark: str = "") -> Cell:
    """A cell with its sort key: its verdict, the first number in it (the last one after a name), else its text.

    The mark "text" sorts by the text in any case.
    """
    classes = " ".join(word for word in mark.split() if word in _CLASSES)
    if text in _WORDS:
        return Cell(text, _WORDS[text], classes or text)
    if "text" in classes:
        return Cell(text, text, classes)
    values = _NUMBER.findall(text) if text[:1] in "+-0123456789±" else _NUMBER.findall(text)[-1:] if " " in text else []
    return Cell(text, values[0].replace(",", "") if values else text, classes)


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
    columns = [str(table.cells.index.name), *map(str, table.cells.columns)]
    return PageTable(name, table.kind, table.title, table.caption, columns, rows)


def plain_table(name: str, title: str, caption: str, columns: Sequence[str], rows: Iterable[Row]) -> PageTable:
    """A table that is not from the reports: of suites, methods or records.

    Args:
        name: its id on the page.
        title: its heading.
        caption: one line below it.
        columns: the headers of all columns but the first.
        rows: a name and cells each.
    """
    return PageTable(name, "plain", title, caption, columns, list(rows))


def at(table: PageTable, stem: str) -> PageTable:
    """The sheet with the paths of its downloads."""
    return replace(table, csv=f"{stem}.csv", json=f"{stem}.json")


def summary(tables: Sequence[Table]) -> Table:
    """The three answers of one suite in one table, a row per method: how good, against the baseline, and at what cost.

    Every cell is one of the tables', which hold the numbers behind it.
    """
    accuracy = next(table for table in tables if table.kind == "accuracy")
    delta = next((table for table in tables if table.kind == "transfer"), None)
    costs = [table for table in tables if table.kind == "frontier"]
    title = f"{accuracy.title.split(': ', 1)[-1]}"
    groups = [accuracy.cells[[name for name in ("rank", "mean") if name in accuracy.cells]].rename(columns={"mean": title})]
    marks = [] if accuracy.marks is None else [accuracy.marks.reindex(columns=["rank", "mean"]).rename(columns={"mean": title})]
    has_margins = any("±" in text for text in accuracy.cells["mean"])
    margin = ", ± margin of error of the 95 % CI over seeds, as of the deltas" if has_margins else ""
    text = [f"{title}, mean over pairs and seeds{margin}.", _incomplete(accuracy)]
    if delta is not None:
        shown = [name for name in ("mean delta", "verdict", "pairs better", "pairs worse", "worst pair") if name in delta.cells]
        groups.append(delta.cells[shown])
        if delta.marks is not None:
            marks.append(delta.marks.reindex(columns=shown))
        text.append(f"Mean delta: {delta.title.split(': ', 1)[-1]}. The verdict is by its 95 % CI.")
        text.append("Pairs better, pairs worse: before the star, those that are significantly better or worse (BH, FDR 5 %).")
    if len(costs) == 1:
        shown = [name for name in ("train seconds", "Pareto front") if name in costs[0].cells]
        groups.append(costs[0].cells[shown])
        text.append(f"Median train seconds on {costs[0].title.split(' on ', 1)[-1]}; the Pareto front is of accuracy and time.")
    elif costs:
        text.append(f"Costs of {len(costs)} machines or precisions stand in tables of their own.")
    cells = pd.concat([group.reindex(accuracy.cells.index) for group in groups], axis=1)
    cells = cells.astype(object).where(cells.notna(), "")
    cells.index.name = accuracy.cells.index.name
    marked = pd.concat([mark.reindex(cells.index) for mark in marks], axis=1) if marks else pd.DataFrame(index=cells.index)
    marked = marked.reindex(columns=cells.columns).astype(object)
    marked = marked.where(marked.notna(), "")
    name = accuracy.title.split(": ", 1)[0]
    return Table(
        name,
        "summary",
        f"{name}: summary",
        captions.join_sentences(*text),
        cells,
        accuracy.data.iloc[:0],
        accuracy.metric,
        marked,
    )


def _incomplete(accuracy: Table) -> str:
    """Which rows have blanks, and how many pairs they have."""
    data = accuracy.data[accuracy.data["pair"].notna()]
    whole, pairs = data.loc[data["quantity"] == "mean", "entry"].value_counts(), data["pair"].nunique()
    some = {str(row): int(whole.get(row, 0)) for row in accuracy.cells.index}
    named = [f"{row} ({count} of {pairs} pairs)" for row, count in some.items() if count < pairs]
    return f"Incomplete, without mean and rank: {captions.short_list(named)}." if named else ""


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
    """The contents of the two downloads of a sheet: the table's numbers or, where it holds none, its cells."""
    if len(table.data):
        return {shown.csv: reports.render([table], "csv"), shown.json: reports.render([table], "json")}
    return cells_files(shown)


def cells_files(shown: PageTable) -> dict[str, str]:
    """As `files`, from the cells of a sheet."""
    columns = [reports.escape_control(column) for column in shown.columns]
    lines = [[reports.escape_control(text) for text in (row.name, *(cell.text for cell in row.cells))] for row in shown.rows]
    text = io.StringIO()
    safe = [[f"'{cell}" if _FORMULA.match(cell) else cell for cell in line] for line in (columns, *lines)]
    csv.writer(text, lineterminator="\n").writerows(safe)
    objects = ",\n".join(json.dumps(dict(zip(columns, line, strict=True)), ensure_ascii=False) for line in lines)
    return {shown.csv: text.getvalue(), shown.json: f"[{objects}]\n"}
