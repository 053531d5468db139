"""`tlbench reproduce`: tables that others published, beside what the same rows give here."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from tlbench.errors import TlbenchError


def reproduce(
    table: Annotated[str | None, typer.Argument(help="A published table; without one they are listed.")] = None,
    data: Annotated[Path | None, typer.Option(help="Data root; else TLBENCH_DATA, else the suite's folder.")] = None,
    results: Annotated[
        Path, typer.Option("--results", help="Directory of the records; those on file are not run again.")
    ] = Path("results"),
    row: Annotated[list[str] | None, typer.Option(help="Only this printed row (again for more).")] = None,
    pair: Annotated[list[str] | None, typer.Option(metavar="SOURCE:TARGET", help="Only this pair.")] = None,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or cuda:N.")] = "auto",
    markdown: Annotated[bool, typer.Option("--markdown", help="Write the table in Markdown.")] = False,
) -> None:
    """Run the rows of a published table and print ours beside theirs; exit code 1 where a cell is outside the tolerance."""
    from tlbench import published

    if table is None:
        for name in published.table_names():
            typer.echo(f"{name:28} {published.load_table(name).title}")
        return
    chosen = published.load_table(table)
    cells = published.run_table(chosen, results=results, data=data, device=device, rows=row or (), pairs=pair or ())
    if not cells:
        raise TlbenchError(f"{table}: the chosen rows have no printed figure for the chosen pairs")
    typer.echo(published.comparison_text(chosen, cells, "markdown" if markdown else "text"))
    if not all(cell.inside for cell in cells):
        raise typer.Exit(1)
