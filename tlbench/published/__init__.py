"""Published results reproduced: a published table run through its suite, and its figures compared cell by cell.

`reports.published_tables` has the tables themselves.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass
from pathlib import Path

from tabulate import tabulate

from tlbench import api
from tlbench.errors import TlbenchError, unknown_name
from tlbench.published.random_search import PublishedSearch
from tlbench.reports import published_tables
from tlbench.reports.published_tables import PublishedRow, PublishedTable, table_names
from tlbench.suite import MEAN

__all__ = [
    "Cell",
    "PublishedRow",
    "PublishedTable",
    "compare_cell",
    "comparison_text",
    "is_reproduced",
    "load_search",
    "load_table",
    "row_means",
    "run_table",
    "search_names",
    "table_names",
]


@dataclass(frozen=True)
class Cell:
    """A published figure beside the reproduced one, both in per cent.

    `reproduced` is None where the case did not finish, and `reason` says why.
    """

    row: str
    pair: str
    published: float
    reproduced: float | None
    within_tolerance: bool
    reason: str | None = None


def search_names() -> list[str]:
    """The names of the published searches."""
    return sorted(file.stem for file in (Path(__file__).parent / "searches").glob("*.toml"))


def load_search(name: str) -> PublishedSearch:
    """The published search of a name.

    Raises:
        TlbenchError: there is no search of this name.
    """
    if name not in search_names():
        raise TlbenchError(unknown_name("published search", name, search_names()))
    text = (Path(__file__).parent / "searches" / f"{name}.toml").read_text(encoding="utf-8")
    return PublishedSearch.model_validate(tomllib.loads(text))


def load_table(name: str) -> PublishedTable:
    """The published table of a name.

    Raises:
        TlbenchError: there is no table of this name.
    """
    return published_tables.load_table(name, search_names())


def run_table(
    table: PublishedTable,
    *,
    results: Path,
    data: Path | None = None,
    device: str = "auto",
    rows: Sequence[str] = (),
    pairs: Sequence[str] = (),
) -> list[Cell]:
    """Run the cases of a published table that have no record yet, and compare the results with the published figures.

    Args:
        table: from `load_table`.
        results: the results directory.
        data: the data root.
        device: auto, cpu, cuda or cuda:N.
        rows: names of rows of the table; empty: all.
        pairs: pairs such as "a:b"; empty: all.

    Raises:
        TlbenchError: the table lacks a row or a pair, or the suite can't be run.
    """
    names = [row.name for row in table.rows]
    all_pairs = list(dict.fromkeys(pair for row in table.rows for pair in row.figures))
    errors = [unknown_name("row of the table", name, names) for name in rows if name not in names]
    errors += [unknown_name("pair of the table", pair, all_pairs) for pair in pairs if pair not in all_pairs]
    if errors:
        raise TlbenchError("\n".join(errors))
    selected = [
        (row, pair) for row in table.rows if not rows or row.name in rows for pair in row.figures if not pairs or pair in pairs
    ]
    pairs_of_entry: dict[tuple[str, str], list[str]] = {}
    for row, pair in selected:
        pairs_of_entry.setdefault((table.suite_of(pair), row.entry_of(pair)), []).append(pair)
    outcomes: dict[tuple[str, str], tuple[float | None, str | None]] = {}
    for (suite, entry), entry_pairs in pairs_of_entry.items():
        frame = api.run(suite, results=results, data=data, device=device, methods=[entry], pairs=entry_pairs, seeds=[0])
        for record in frame.to_dict("records"):
            done = record["status"] == "done"  # only then is there an accuracy, else a reason
            outcome = (100 * float(record["target_accuracy"]), None) if done else (None, str(record["reason"]))
            outcomes[entry, record["pair"]] = outcome
    return [compare_cell(row, pair, *outcomes[row.entry_of(pair), pair], table.tolerance) for row, pair in selected]


def compare_cell(row: PublishedRow, pair: str, reproduced: float | None, reason: str | None, tolerance: float) -> Cell:
    """The comparison of one cell, with the reproduced figure rounded to two decimals as publications print it.

    Args:
        row: the row of the published table.
        pair: one of its pairs.
        reproduced: the accuracy in per cent; None where the case did not finish.
        reason: why it did not.
        tolerance: the largest difference that counts as reproduced, in points of accuracy.
    """
    published = row.figures[pair]
    within_tolerance = reproduced is not None and abs(round(reproduced, 2) - published) <= tolerance + 1e-9
    return Cell(row.name, pair, published, reproduced, within_tolerance, reason)


def is_reproduced(table: PublishedTable, cells: Sequence[Cell]) -> bool:
    """Whether all that the tolerance of a table applies to, cells or means of rows, is within it."""
    compared = cells if table.compared == "cells" else row_means(cells, table.tolerance)
    return all(cell.within_tolerance for cell in compared)


def row_means(cells: Sequence[Cell], tolerance: float) -> list[Cell]:
    """The means of each row over its pairs as cells of the pair `mean`; no mean is reproduced where a cell is not there.

    Args:
        cells: from `run_table`.
        tolerance: the largest difference that counts as reproduced, in points of accuracy.
    """
    means = []
    for name, of_row in _by_row(cells).items():
        published = round(sum(cell.published for cell in of_row.values()) / len(of_row), 2)
        figures = [cell.reproduced for cell in of_row.values() if cell.reproduced is not None]
        reproduced = sum(figures) / len(figures) if len(figures) == len(of_row) else None
        within = reproduced is not None and abs(round(reproduced, 2) - published) <= tolerance + 1e-9
        reason = None if reproduced is not None else next(cell.reason for cell in of_row.values() if cell.reproduced is None)
        means.append(Cell(name, MEAN, published, reproduced, within, reason))
    return means


def comparison_text(table: PublishedTable, cells: Sequence[Cell], format: str = "text") -> str:
    """The comparison as text: a table of rows and pairs with `reproduced / published`, then all differences and the sources.

    `format` is "text" or "markdown". A star marks a cell that differs by more than the tolerance. Where the tolerance is
    that of means, a column of means has the stars, and the cells none.
    """
    compared = list(cells) if table.compared == "cells" else row_means(cells, table.tolerance)
    shown = [*cells, *compared] if table.compared == "means" else compared
    pairs = list(dict.fromkeys(cell.pair for cell in shown))
    by_row = _by_row(shown)
    starred = set(compared)
    texts = [[name, *(_cell_text(of_row.get(pair), starred) for pair in pairs)] for name, of_row in by_row.items()]
    style = "pipe" if format == "markdown" else "simple"
    body = tabulate(texts, ["ours / published", *pairs], tablefmt=style, disable_numparse=True)
    outside = [cell for cell in compared if not cell.within_tolerance]
    sources: dict[str, list[str]] = {}
    for row in table.rows:
        if row.name in by_row:
            sources.setdefault(row.source, []).append(row.name)
    return "\n".join(
        [
            *(f"{table.title}: accuracy in per cent, ours / published", "", body, ""),
            f"{len(compared) - len(outside)} of {len(compared)} {table.compared} within {table.tolerance:g} points of the "
            "published figures",
            *(f"* {cell.row}, {cell.pair}: {_difference_text(cell)}" for cell in outside),
            *("", *table.conventions, ""),
            *(f"{', '.join(names)}: {source}" for source, names in sources.items()),
        ]
    )


def _by_row(cells: Sequence[Cell]) -> Mapping[str, Mapping[str, Cell]]:
    grouped: dict[str, dict[str, Cell]] = {}
    for cell in cells:
        grouped.setdefault(cell.row, {})[cell.pair] = cell
    return grouped


def _cell_text(cell: Cell | None, starred: Set[Cell]) -> str:
    """As in "44.70 / 44.70", with a star where the cell is one of those that the tolerance applies to and is outside it."""
    if cell is None:
        return ""
    reproduced = "none" if cell.reproduced is None else f"{cell.reproduced:.2f}"
    return f"{reproduced} / {cell.published:.2f}{' *' if cell in starred and not cell.within_tolerance else ''}"


def _difference_text(cell: Cell) -> str:
    return cell.reason or f"{cell.reproduced:.2f}, published {cell.published:.2f}"
