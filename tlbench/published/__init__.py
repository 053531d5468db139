"""Figures in print beside ours: a table that others published, run through its suite, and whether each cell is met.

A published table is a TOML file in this folder: the suite, the tolerance, the conventions that it took, and for each row its
source, the suite's row and the printed figures by pair. Nothing in it is ours.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from pydantic import Field
from tabulate import tabulate

from tlbench import api
from tlbench.errors import TlbenchError, unknown_name
from tlbench.terms import Strict


class PublishedRow(Strict):
    """A printed row."""

    name: str
    row: str
    """The suite's row that gives it."""
    source: str
    printed: dict[str, float]
    """Per cent by pair."""
    instead: dict[str, str] = Field(default_factory=dict)
    """Pairs for which another row of the suite gives the figure."""


class Published(Strict):
    """A printed table."""

    title: str
    suite: str
    tolerance: float = Field(gt=0)
    """Points of accuracy."""
    conventions: tuple[str, ...]
    rows: tuple[PublishedRow, ...]


@dataclass(frozen=True)
class Cell:
    """A printed figure and ours, both in per cent; ours is None where the case did not end well."""

    name: str
    pair: str
    printed: float
    ours: float | None
    inside: bool
    reason: str | None = None


def table_names() -> list[str]:
    """The tables that there are."""
    return sorted(file.stem for file in Path(__file__).parent.glob("*.toml"))


def load_table(name: str) -> Published:
    """A published table.

    Raises:
        TlbenchError: there is none of this name.
    """
    if name not in table_names():
        raise TlbenchError(unknown_name("published table", name, table_names()))
    return Published.model_validate(tomllib.loads((Path(__file__).parent / f"{name}.toml").read_text(encoding="utf-8")))


def run_table(
    table: Published,
    *,
    results: Path,
    data: Path | None = None,
    device: str = "auto",
    rows: Sequence[str] = (),
    pairs: Sequence[str] = (),
) -> list[Cell]:
    """Run what the table needs of its suite, what is on file left out, and hold it against the printed figures.

    Args:
        table: from `load`.
        results: where records are kept and looked for.
        data: the data root.
        device: auto, cpu, cuda or cuda:N.
        rows: printed names; all without any.
        pairs: all without any.

    Raises:
        TlbenchError: a row or pair that the table lacks, or anything else that the caller can mend.
    """
    there = {pair: None for row in table.rows for pair in row.printed}
    wrong = [unknown_name("row of the table", name, [r.name for r in table.rows]) for name in rows if name not in _named(table)]
    wrong += [unknown_name("pair of the table", pair, there) for pair in pairs if pair not in there]
    if wrong:
        raise TlbenchError("\n".join(wrong))
    chosen = [row for row in table.rows if not rows or row.name in rows]
    needed: dict[str, list[str]] = {}
    for row in chosen:
        for pair in row.printed:
            if not pairs or pair in pairs:
                needed.setdefault(row.instead.get(pair, row.row), []).append(pair)
    found: dict[tuple[str, str], tuple[float | None, str | None]] = {}
    for method, of in needed.items():
        frame = api.run(table.suite, results=results, data=data, device=device, methods=[method], pairs=of, seeds=[0])
        for record in frame.to_dict("records"):
            share = record["target_accuracy"] if record["status"] == "done" else None
            found[method, record["pair"]] = (None if share is None else 100 * float(share), record["reason"])
    return [
        compare_cells(row, pair, *found[row.instead.get(pair, row.row), pair], table.tolerance)
        for row in chosen
        for pair in row.printed
        if not pairs or pair in pairs
    ]


def compare_cells(row: PublishedRow, pair: str, ours: float | None, why: str | None, tolerance: float) -> Cell:
    """One cell; ours is compared as it would be printed, with two digits."""
    printed = row.printed[pair]
    inside = ours is not None and abs(round(ours, 2) - printed) <= tolerance + 1e-9
    return Cell(row.name, pair, printed, ours, inside, why)


def comparison_text(table: Published, cells: Sequence[Cell], format: str = "text") -> str:
    """The comparison: a table per pair and row, ours / printed, `*` where they differ by more than the tolerance."""
    pairs = list(dict.fromkeys(cell.pair for cell in cells))
    lines = [[name, *(_shown(by.get(pair)) for pair in pairs)] for name, by in _by_name(cells).items()]
    made = tabulate(
        lines, ["ours / printed", *pairs], tablefmt="pipe" if format == "markdown" else "simple", disable_numparse=True
    )
    outside = [cell for cell in cells if not cell.inside]
    said = [f"{table.title}: accuracy in per cent, ours / printed", "", made, ""]
    said += [f"{len(cells) - len(outside)} of {len(cells)} cells within {table.tolerance:g} points of the printed figures"]
    said += [f"* {cell.name}, {cell.pair}: {cell.reason or f'{cell.ours:.2f}, printed {cell.printed:.2f}'}" for cell in outside]
    said += ["", *table.conventions, ""]
    sources: dict[str, list[str]] = {}
    for row in table.rows:
        if row.name in _by_name(cells):
            sources.setdefault(row.source, []).append(row.name)
    said += [f"{', '.join(names)}: {source}" for source, names in sources.items()]
    return "\n".join(said)


def _named(table: Published) -> set[str]:
    return {row.name for row in table.rows}


def _by_name(cells: Sequence[Cell]) -> Mapping[str, Mapping[str, Cell]]:
    grouped: dict[str, dict[str, Cell]] = {}
    for cell in cells:
        grouped.setdefault(cell.name, {})[cell.pair] = cell
    return grouped


def _shown(cell: Cell | None) -> str:
    if cell is None:
        return ""
    ours = "none" if cell.ours is None else f"{cell.ours:.2f}"
    return f"{ours} / {cell.printed:.2f}{'' if cell.inside else ' *'}"
