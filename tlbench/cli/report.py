"""`tlbench report`: the tables of a results directory, and two results directories compared."""

from __future__ import annotations

import os
import sys
from enum import StrEnum
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tlbench.cli import console, options
from tlbench.errors import TlbenchError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    import pandas as pd

    from tlbench.reports import Table
    from tlbench.runner import RunPlan
    from tlbench.terms import Record


class Format(StrEnum):
    """The formats of tables."""

    text = "text"
    markdown = "markdown"
    latex = "latex"
    csv = "csv"
    json = "json"
    html = "html"


def _table_names(incomplete: str) -> list[str]:
    """The tables that start like this, for shell completion."""
    from tlbench import reports

    return [name for name in ("main", "all", *reports.KINDS, *reports.ACROSS) if name.startswith(incomplete)]


def report(
    suites: options.RecordedSuites = None,
    results: options.Results = Path("results"),
    table: Annotated[
        str,
        typer.Option(
            metavar="NAME",
            help="summary; accuracy, transfer, negative_transfer, throughput (main: these four) or another of "
            "`tlbench list tables`; all: every full table.",
            autocompletion=_table_names,
        ),
    ] = "summary",
    format: Annotated[Format, typer.Option(help="Format of the tables.")] = Format.text,
    json: options.Json = False,
    compare: Annotated[
        tuple[Path, Path] | None, typer.Option(metavar="A B", help="Two results directories: B minus A, cell by cell.")
    ] = None,
    margin: options.Margin = None,
    gate: Annotated[
        list[str] | None,
        typer.Option(metavar="RULE", help="Add each method behind a gate: adapted only if this rule prefers it (repeat)."),
    ] = None,
    group: Annotated[
        str,
        typer.Option(
            metavar="COLUMN",
            help='Groups of one suite by a column of its data, as in "sex" or "education_years >= 13"; reads predictions.',
        ),
    ] = "",
    data: options.DataRoot = None,
) -> None:
    """Print a summary of each suite of a results directory, its full tables, or the differences between two directories."""
    from tlbench import records, reports
    from tlbench.reports.frames import future_records

    reports.check_margin(margin)
    reports.check_table(table)
    names = tuple(Path(name).stem for name in suites or ())
    chosen = Format.json if json else format
    if compare is not None:
        if gate or group:
            option = "gate" if gate else "group"
            raise TlbenchError(f"--{option} is for tables of one results directory. Leave it or --compare out.")
        first, second = (_frame(directory, names) for directory in compare)
        write(reports.compare(first, second, (str(compare[0]), str(compare[1]))), chosen.value)
        return
    if gate and group:
        raise TlbenchError("--group takes groups of the methods on file, and --gate adds others. Leave one of them out.")
    frame = _grouped(results, suites or [], group, data) if group else _frame(results, names, tuple(gate or ()))
    if note := future_records(frame):
        console.warn(f"note: {note}")
    flips, selections = reports.negative_flips(results, frame), None
    if table in ("selection", "rules", "all"):
        selections = reports.rule_selections(results, records.iterate_records(results, names))
    if table in reports.ACROSS:
        write(_over_suites(frame, table, flips, selections, names), chosen.value)
    else:
        write(reports.tables(frame, table, flips, margin, selections=selections), chosen.value)
    if table == "summary" and chosen is Format.text:
        write_more(frame, results)


def _over_suites(
    frame: pd.DataFrame, table: str, flips: pd.DataFrame | None, selections: pd.DataFrame | None, names: tuple[str, ...]
) -> list[Table]:
    """The tables of one kind over all suites of a frame; published figures are those of the suites that are named, if any."""
    from tlbench import methods, reports

    return reports.tables_over_suites(
        frame, table, flips=flips, selections=selections, families=methods.families(), suites=names
    )


def write(tables: Sequence[Table], format: str = "text") -> None:
    """Print tables to standard output: in colour and at its width on a terminal, else as plain text."""
    from tlbench import reports

    if format == "text" and tables and sys.stdout.isatty():
        from rich.console import Console

        from tlbench.reports.formats import terminal

        terminal.show(tables, Console())
    else:
        width = os.environ.get("COLUMNS", "")
        typer.echo(
            reports.render(list(tables), format, int(width) if format == "text" and width.isdecimal() else None), nl=False
        )


def write_more(frame: pd.DataFrame, results: Path) -> None:
    """Print the command that shows the full tables of a frame's suites, with as many names of tables as fit 80 columns."""
    suites = list(frame["suite"].unique())
    where = "" if results == Path("results") else f" --results {results}"
    command = f"more: tlbench report {suites[0] if len(suites) == 1 else 'SUITE'}{where} --table "
    selection = ["selection"] if frame["selection_seconds"].notna().any() else []
    shown = [*selection, "accuracy", "transfer", "throughput"]
    while len(shown) > 1 and len(command) + len("|".join([*shown, "..."])) > 80:
        shown.pop()
    console.echo(command + "|".join([*shown, "..."]))


def expected_precision(plan: RunPlan, margin: float | None) -> str:
    """The margin of error to expect of a planned run, from the suite's records so far."""
    from tlbench import reports

    cases = [*plan.pending, *plan.on_file]
    pairs = reports.count_distinct({(*case.sources, case.target) for case in cases}, plan.suite.sweep_levels)
    seeds = len({case.seed for case in cases})
    return reports.expected_precision(reports.frame(plan.earlier_records), pairs=pairs, seeds=seeds, margin=margin)


def _frame(results: Path, names: tuple[str, ...], gates: tuple[str, ...] = ()) -> pd.DataFrame:
    """The records of a results directory as a frame, and those of methods behind gates.

    Raises:
        TlbenchError: there is no such directory, no record of a named suite, no record at all, or none that a gate compares.
    """
    from tlbench import records, reports

    if not results.is_dir():
        raise TlbenchError(f"There is no results directory {results}. `tlbench run SUITE --results {results}` makes it.")
    if missing := [name for name in names if not (results / name).is_dir()]:
        available = ", ".join(sorted(p.name for p in results.iterdir() if p.is_dir())) or "none"
        raise TlbenchError(f"{results}: There are no records of {', '.join(missing)}. Available: {available}.")
    frame = reports.frame(chain(records.iterate_records(results, names), _gated(results, names, gates)))
    if frame.empty:
        raise TlbenchError(f"{results}: There are no records yet. `tlbench run SUITE --results {results}` writes some.")
    return frame


def _grouped(results: Path, suites: Sequence[str], group: str, data: Path | None) -> pd.DataFrame:
    """The records of one suite as a frame, with groups by a column of its data.

    Raises:
        TlbenchError: several suites are named or none, or their data have no such groups.
    """
    from tlbench import records, reports, session
    from tlbench.api.data_groups import parse_rule, with_groups
    from tlbench.data import resolve_data_root

    if len(suites) != 1:
        raise TlbenchError(f"--group takes the data of one suite, and {len(suites)} are named. Name one.")
    suite = session.load_suite(suites[0])
    on_file = records.iterate_records(results, (suite.name,))
    return reports.frame(with_groups(on_file, results, suite, resolve_data_root(data, suite.path), parse_rule(group)))


def _gated(results: Path, names: tuple[str, ...], gates: tuple[str, ...]) -> Iterable[Record]:
    """The records of methods behind gates; none without a gate."""
    from tlbench import records
    from tlbench.reports.gates import gated_records

    return gated_records(results, records.iterate_records(results, names), gates) if gates else ()
