"""`tlbench transferability`: scores of the sources or backbones of a suite, judged by what they reach."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tlbench.cli import console, options
from tlbench.errors import TlbenchError

if TYPE_CHECKING:
    import pandas as pd

    from tlbench.suite import Suite


class Shown(StrEnum):
    """The tables of transferability."""

    scores = "scores"
    clustering = "clustering"


def transferability(
    suite: options.SuiteName,
    backbones: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="TOML file with a table like [net] for each backbone. Default: the sources of the suite are scored.",
        ),
    ] = None,
    all_pairs: Annotated[
        bool,
        typer.Option(
            "--all-pairs",
            help="Score each domain as a source for each other; the truth is a logistic regression, and no record is read.",
        ),
    ] = False,
    method: Annotated[
        str, typer.Option("--method", metavar="NAME", help="Method entry whose records are the truth. Default: the baseline.")
    ] = "",
    score: Annotated[
        list[str] | None, typer.Option("--score", metavar="NAME", help="Only this score (repeat for more). Default: all.")
    ] = None,
    table: Annotated[
        Shown,
        typer.Option(help="scores, or clustering: unsupervised transfer, clusters of the target in features of the source."),
    ] = Shown.scores,
    results: options.Results = Path("results"),
    data: options.DataRoot = None,
    download: options.Download = False,
    markdown: options.Markdown = False,
    json: options.Json = False,
) -> None:
    """Print how well transferability scores choose sources or backbones for the targets of a suite, or cluster the targets."""
    from tlbench import session
    from tlbench.data import resolve_data_root
    from tlbench.transferability import candidates, rendering

    options.allow_download(download)
    loaded = session.load_suite(suite)
    root = resolve_data_root(data, loaded.path)
    of, kind = ("sources" if backbones is None else "backbones"), ("markdown" if markdown else "text")
    if table is Shown.clustering:
        if method or score or all_pairs:
            raise TlbenchError("--table clustering reads no record and no score. Leave --method, --score and --all-pairs out.")
        _show_clusters(loaded, root, backbones, kind, json=json)
        return
    if all_pairs + (backbones is not None) + bool(method) > 1:
        raise TlbenchError("--all-pairs, --backbones and --method name different truths. Give one of them.")
    if all_pairs:
        scored = candidates.score_all_pairs(loaded, root, score or ())
    elif backbones is not None:
        scored = candidates.score_backbones(loaded, root, _tables(backbones), score or ())
    else:
        scored = candidates.score_sources(loaded, root, _records(results, loaded.name), method, score or ())
    if json:
        console.echo_json(rendering.as_json(scored, loaded.name))
        return
    console.echo(rendering.render(scored, f"{loaded.name} v{loaded.version}: transferability of {of}", kind).rstrip("\n"))


def _show_clusters(suite: Suite, root: Path, backbones: Path | None, kind: str, *, json: bool) -> None:
    """Print unsupervised transfer by the sources of a suite, or by the backbones of a file."""
    from tlbench.transferability import clustering, clustering_tables

    if backbones is None:
        clustered, of = clustering.cluster_pairs(suite, root), "features of the source"
    else:
        clustered, of = clustering.cluster_backbones(suite, root, _tables(backbones)), "frozen backbones"
    if json:
        console.echo_json(clustering_tables.as_json(clustered, suite.name))
        return
    title = f"{suite.name} v{suite.version}: unsupervised transfer, clusters of the target by {of}"
    console.echo(clustering_tables.render(clustered, title, kind).rstrip("\n"))


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
