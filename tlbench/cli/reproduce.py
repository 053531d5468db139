"""`tlbench reproduce`: published results beside those of the same methods here."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from tlbench.cli import console, options
from tlbench.errors import TlbenchError


def reproduce(
    table: Annotated[str | None, typer.Argument(help="Published table. Default: print which there are.")] = None,
    data: options.DataRoot = None,
    results: options.Results = Path("results"),
    names: Annotated[
        list[str] | None, typer.Option("--row", help="Only this row of the published table (repeat for more).")
    ] = None,
    pair: options.Pairs = None,
    trials: Annotated[
        int | None, typer.Option(min=1, help="Only the first trials of a published search. Default: all of them.")
    ] = None,
    device: options.Device = "auto",
    markdown: options.Markdown = False,
) -> None:
    """Run the methods of a published table and print both results; exit code 1 where they differ by more than the tolerance.

    The cases of a published search may take an hour: after Ctrl-C the same command goes on with those that are left.
    """
    from tlbench import published
    from tlbench.reports import published_regrets

    if table is None:
        for name in published.table_names():
            console.echo(f"{name:28} {published.load_table(name).title}")
        for name in published.search_names():
            console.echo(f"{name:28} {published.load_search(name).title}")
        for name in published_regrets.names():
            console.echo(f"{name:28} {published_regrets.load(name).title}: regrets of rules, from a copy of its files")
        return
    if table in published_regrets.names():
        _reproduce_regrets(table, data or Path(), markdown)
        return
    if table in published.search_names():
        _reproduce_search(table, results, data, device, names or (), pair or (), trials, markdown)
        return
    if trials is not None:
        raise TlbenchError(f"--trials: {table} is a table without trials. Leave the option out.")
    loaded = published.load_table(table)
    cells = published.run_table(loaded, results=results, data=data, device=device, rows=names or (), pairs=pair or ())
    if not cells:
        raise TlbenchError(f"{table}: The chosen rows have no published result for the chosen pairs.")
    console.echo(published.comparison_text(loaded, cells, "markdown" if markdown else "text"))
    if not published.is_reproduced(loaded, cells):
        raise typer.Exit(1)


def _reproduce_search(
    table: str,
    results: Path,
    data: Path | None,
    device: str,
    names: Sequence[str],
    pairs: Sequence[str],
    trials: int | None,
    markdown: bool,
) -> None:
    """Run a published search, and print what each rule selects beside the published results.

    Args:
        table: the name of the search.
        results: the results directory.
        data: the data root.
        device: auto, cpu, cuda or cuda:N.
        names: names of rows of the search; empty: all.
        pairs: pairs of its suite; empty: all.
        trials: the number of trials; None: all.
        markdown: whether tables are written as Markdown.
    """
    from tlbench import published
    from tlbench.published import random_search, search_text

    search = published.load_search(table)
    accuracies = random_search.run_search(
        search, results=results, data=data, device=device, rows=names, pairs=pairs, trials=trials
    )
    console.echo(search_text.text(search, accuracies, "markdown" if markdown else "text"))
    if not all(search_text.holds(search, accuracies, statement) for statement in search.statements):
        raise typer.Exit(1)


def _reproduce_regrets(table: str, folder: Path, markdown: bool) -> None:
    """Print the regrets of selection rules that follow from files of a publication, beside those on file here.

    Args:
        table: the name of the table.
        folder: holds its files.
        markdown: whether tables are written as Markdown.
    """
    from tlbench.published import regret_text
    from tlbench.reports import published_regrets

    loaded = published_regrets.load(table)
    regrets = published_regrets.group_regrets(loaded, loaded.read(folder))
    console.echo(regret_text.text(loaded, regrets, "markdown" if markdown else "text"))
    if not regret_text.is_reproduced(loaded, regrets):
        raise typer.Exit(1)
