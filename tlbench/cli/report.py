"""`tlbench report`: the tables of a results directory, and two of them compared."""

from __future__ import annotations

import sys
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tlbench.errors import TlbenchError

if TYPE_CHECKING:
    import pandas as pd

    from tlbench.reports import Table
    from tlbench.runner import RunPlan


class Which(StrEnum):
    """Which tables."""

    main = "main"
    all = "all"
    accuracy = "accuracy"
    ranks = "ranks"
    transfer = "transfer"
    harm = "harm"
    classes = "classes"
    groups = "groups"
    throughput = "throughput"
    frontier = "frontier"
    detail = "detail"


class Format(StrEnum):
    """How tables are written."""

    text = "text"
    markdown = "markdown"
    latex = "latex"
    csv = "csv"
    json = "json"
    html = "html"


HalfWidth = Annotated[
    float | None,
    typer.Option(help="A half-width of the 95 % interval that you want, in points of the metric: how many seeds it takes."),
]


def report(
    suites: Annotated[list[str] | None, typer.Argument(metavar="[SUITE...]", help="Names; all on file without any.")] = None,
    results: Annotated[Path, typer.Option("--results", help="Directory of the records: <results>/<suite>/<row>.jsonl.")] = Path(
        "results"
    ),
    table: Annotated[Which, typer.Option(help="Which tables; main: accuracy, transfer, harm and throughput.")] = Which.main,
    format: Annotated[Format, typer.Option(help="How to write them.")] = Format.text,
    compare: Annotated[
        tuple[Path, Path] | None, typer.Option(metavar="A B", help="Two results directories: B minus A, cell by cell.")
    ] = None,
    half_width: HalfWidth = None,
) -> None:
    """Print the tables of a results directory, or what differs between two."""
    from tlbench import reports
    from tlbench.reports.statistics import planning

    planning.wanted(half_width)
    names = tuple(Path(name).stem for name in suites or ())
    if compare is None:
        frame = _frame(results, names)
        made = reports.tables(frame, table.value, reports.negative_flips(results, frame), half_width)
    else:
        made = reports.compare(_frame(compare[0], names), _frame(compare[1], names), (str(compare[0]), str(compare[1])))
    write(made, format.value)


def write(tables: list[Table], format: str = "text") -> None:
    """To standard output: on a terminal in its width and with colours, else as plain text."""
    from tlbench import reports

    if format == "text" and tables and sys.stdout.isatty():
        from rich.console import Console

        from tlbench.reports.formats import terminal

        terminal.show(tables, Console())
    else:
        typer.echo(reports.render(tables, format).rstrip("\n"))


def outlook(todo: RunPlan, half_width: float | None) -> str:
    """What a planned run is to give, from the suite's records so far."""
    from tlbench import reports
    from tlbench.reports.statistics import planning

    cases = [*todo.pending, *todo.on_file]
    pairs, seeds = len({case.pair for case in cases}), len({case.seed for case in cases})
    return planning.plan(reports.frame(todo.earlier_records), pairs=pairs, seeds=seeds, half_width=half_width)


def _frame(results: Path, names: tuple[str, ...]) -> pd.DataFrame:
    from tlbench import records, reports

    if not results.is_dir():
        raise TlbenchError(f"no results directory {results}; `tlbench run SUITE --results {results}` makes one")
    if missing := [name for name in names if not (results / name).is_dir()]:
        there = ", ".join(sorted(p.name for p in results.iterdir() if p.is_dir())) or "none"
        raise TlbenchError(f"{results}: no records of {', '.join(missing)}; there are those of {there}")
    frame = reports.frame(records.iterate_records(results, names))
    if frame.empty:
        raise TlbenchError(f"{results}: no records yet; `tlbench run SUITE --results {results}` writes some")
    return frame
