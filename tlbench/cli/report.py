"""`tlbench report`: the tables of a results directory, and two results directories compared."""

from __future__ import annotations

import sys
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tlbench.cli import console, options
from tlbench.errors import TlbenchError

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pandas as pd

    from tlbench.reports import Table
    from tlbench.runner import RunPlan


class Which(StrEnum):
    """The kinds of tables."""

    main = "main"
    all = "all"
    accuracy = "accuracy"
    ranks = "ranks"
    transfer = "transfer"
    negative_transfer = "negative_transfer"
    classes = "classes"
    groups = "groups"
    stream = "stream"
    throughput = "throughput"
    frontier = "frontier"
    detail = "detail"


class Format(StrEnum):
    """The formats of tables."""

    text = "text"
    markdown = "markdown"
    latex = "latex"
    csv = "csv"
    json = "json"
    html = "html"


def report(
    suites: options.RecordedSuites = None,
    results: options.Results = Path("results"),
    table: Annotated[
        Which, typer.Option(help="Kind of table; main: accuracy, transfer, negative_transfer and throughput.")
    ] = Which.main,
    format: Annotated[Format, typer.Option(help="Format of the tables.")] = Format.text,
    compare: Annotated[
        tuple[Path, Path] | None, typer.Option(metavar="A B", help="Two results directories: B minus A, cell by cell.")
    ] = None,
    margin: options.Margin = None,
) -> None:
    """Print the tables of a results directory, or the differences between two."""
    from tlbench import reports
    from tlbench.reports.frames import future_records

    reports.check_margin(margin)
    names = tuple(Path(name).stem for name in suites or ())
    if compare is None:
        frame = _frame(results, names)
        if note := future_records(frame):
            console.warn(f"note: {note}")
        tables = reports.tables(frame, table.value, reports.negative_flips(results, frame), margin)
    else:
        first, second = (_frame(directory, names) for directory in compare)
        tables = reports.compare(first, second, (str(compare[0]), str(compare[1])))
    write(tables, format.value)


def write(tables: Sequence[Table], format: str = "text") -> None:
    """Print tables to standard output: in colour and at its width on a terminal, else as plain text."""
    from tlbench import reports

    if format == "text" and tables and sys.stdout.isatty():
        from rich.console import Console

        from tlbench.reports.formats import terminal

        terminal.show(tables, Console())
    else:
        typer.echo(reports.render(list(tables), format).rstrip("\n"))


def expected_precision(plan: RunPlan, margin: float | None) -> str:
    """The margin of error to expect of a planned run, from the suite's records so far."""
    from tlbench import reports

    cases = [*plan.pending, *plan.on_file]
    pairs = reports.count_distinct({(*case.sources, case.target) for case in cases}, plan.suite.sweep_levels)
    seeds = len({case.seed for case in cases})
    return reports.expected_precision(reports.frame(plan.earlier_records), pairs=pairs, seeds=seeds, margin=margin)


def _frame(results: Path, names: tuple[str, ...]) -> pd.DataFrame:
    """The records of a results directory as a frame.

    Raises:
        TlbenchError: there is no such directory, no record of a named suite, or no record at all.
    """
    from tlbench import records, reports

    if not results.is_dir():
        raise TlbenchError(f"There is no results directory {results}. `tlbench run SUITE --results {results}` makes it.")
    if missing := [name for name in names if not (results / name).is_dir()]:
        available = ", ".join(sorted(p.name for p in results.iterdir() if p.is_dir())) or "none"
        raise TlbenchError(f"{results}: There are no records of {', '.join(missing)}. Available: {available}.")
    frame = reports.frame(records.iterate_records(results, names))
    if frame.empty:
        raise TlbenchError(f"{results}: There are no records yet. `tlbench run SUITE --results {results}` writes some.")
    return frame
