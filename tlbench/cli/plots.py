"""`tlbench plots` and `tlbench site`: plots and a static leaderboard of a results directory."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tlbench.cli import console, options
from tlbench.errors import TlbenchError

if TYPE_CHECKING:
    from tlbench.terms import Record


def plots(
    suites: options.RecordedSuites = None,
    results: options.Results = Path("results"),
    out: Annotated[Path, typer.Option(metavar="DIR", help="Directory of the plots.")] = Path("out/plots"),
) -> None:
    """Draw deltas, accuracy against cost, ranks, sweeps, label budgets, streams and training curves as PNG and SVG."""
    from tlbench import plots as plotting

    for path in plotting.draw_plots(_records(results, tuple(Path(name).stem for name in suites or ())), out):
        console.echo(f"wrote {path}")


def site(
    results: options.Results = Path("results"),
    out: Annotated[Path, typer.Option(metavar="DIR", help="Directory of the site.")] = Path("out/site"),
    markdown: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write the leaderboard as Markdown to this file instead.")
    ] = None,
) -> None:
    """Write a static site with a leaderboard and pages of suites, methods and records."""
    from tlbench import methods
    from tlbench.site import build_site, leaderboard_markdown

    records = _records(results)
    if markdown is not None:
        markdown.write_text(leaderboard_markdown(records, results, methods.families()), encoding="utf-8")
        console.echo(f"wrote {markdown}")
    else:
        console.echo(f"wrote {build_site(records, out, results, methods.method_files())}")


def _records(results: Path, names: tuple[str, ...] = ()) -> list[Record]:
    """The records of a results directory.

    Raises:
        TlbenchError: there is none.
    """
    from tlbench.records import read_all

    records = read_all(results, names)
    if not records:
        of = f" of {', '.join(names)}" if names else ""
        raise TlbenchError(f"{results}: There are no records{of}. `tlbench run SUITE --results {results}` writes some.")
    return records
