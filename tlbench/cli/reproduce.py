"""`tlbench reproduce`: published results beside those of the same methods here."""

from __future__ import annotations

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
    device: options.Device = "auto",
    markdown: options.Markdown = False,
) -> None:
    """Run the methods of a published table and print both results; exit code 1 where they differ by more than the tolerance."""
    from tlbench import published

    if table is None:
        for name in published.table_names():
            console.echo(f"{name:28} {published.load_table(name).title}")
        return
    loaded = published.load_table(table)
    cells = published.run_table(loaded, results=results, data=data, device=device, rows=names or (), pairs=pair or ())
    if not cells:
        raise TlbenchError(f"{table}: The chosen rows have no published result for the chosen pairs.")
    console.echo(published.comparison_text(loaded, cells, "markdown" if markdown else "text"))
    if not published.is_reproduced(loaded, cells):
        raise typer.Exit(1)
