"""`tlbench transferability`: scores of the sources or backbones of a suite, judged by what they reach."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tlbench.cli import console, options
from tlbench.errors import TlbenchError

if TYPE_CHECKING:
    import pandas as pd


def transferability(
    suite: options.SuiteName,
    backbones: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="TOML file with a table like [net] for each backbone. Default: the sources of the suite are scored.",
        ),
    ] = None,
    method: Annotated[
        str, typer.Option("--method", metavar="NAME", help="Method entry whose records are the truth. Default: the baseline.")
    ] = "",
    score: Annotated[
        list[str] | None, typer.Option("--score", metavar="NAME", help="Only this score (repeat for more). Default: all.")
    ] = None,
    results: options.Results = Path("results"),
    data: options.DataRoot = None,
    download: options.Download = False,
    markdown: options.Markdown = False,
    json: options.Json = False,
) -> None:
    """Print how well transferability scores choose sources, or backbones, for the targets of a suite."""
    from tlbench import session
    from tlbench.data import resolve_data_root
    from tlbench.transferability import candidates, rendering

    options.allow_download(download)
    loaded = session.load_suite(suite)
    root = resolve_data_root(data, loaded.path)
    if backbones is not None:
        if method:
            raise TlbenchError("--method names records of sources, and --backbones scores backbones. Leave one of them out.")
        scored = candidates.score_backbones(loaded, root, _tables(backbones), score or ())
    else:
        scored = candidates.score_sources(loaded, root, _records(results, loaded.name), method, score or ())
    if json:
        console.echo_json(rendering.as_json(scored, loaded.name))
        return
    title = f"{loaded.name} v{loaded.version}: transferability of {'sources' if backbones is None else 'backbones'}"
    console.echo(rendering.render(scored, title, "markdown" if markdown else "text").rstrip("\n"))


def _records(results: Path, suite: str) -> pd.DataFrame:
    """The records of a suite."""
    from tlbench import records, reports

    frame = reports.frame(records.iterate_records(results, (suite,)))
    if frame.empty:
        raise TlbenchError(
            f"{results}: There are no records of {suite}. `tlbench run {suite} --results {results}` writes some."
        )
    return frame


def _tables(file: Path) -> dict[str, dict[str, Any]]:
    """The tables of a TOML file by name."""
    import tomllib

    try:
        tables = tomllib.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise TlbenchError(f"{file}: The file cannot be read: {error.strerror}. Name a TOML file of backbones.") from error
    except ValueError as error:
        raise TlbenchError(f"{file}: The file is no valid TOML: {error}.") from error
    if plain := [name for name, table in tables.items() if not isinstance(table, dict)]:
        raise TlbenchError(f"{file}: {plain[0]} is no table. Give each backbone a table like [net] of a suite.")
    return tables
