"""`tlbench plot`: plots of one suite that need its data."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, cast

import typer

from tlbench.cli import console, options
from tlbench.errors import TlbenchError

if TYPE_CHECKING:
    from tlbench.plots.features import Projection

app = typer.Typer(help="Plots of one suite that need its data.", no_args_is_help=True)


@app.callback()
def _only_subcommands() -> None:
    """Plots of one suite that need its data."""


@app.command()
def features(
    suite: options.SuiteName,
    method: Annotated[
        list[str] | None, typer.Option("--method", metavar="NAME", help="Deep method entry of the suite (repeat for more).")
    ] = None,
    pair: Annotated[str, typer.Option(metavar="SOURCE:TARGET", help="Pair of domains. Default: the first of the suite.")] = "",
    seed: Annotated[int | None, typer.Option(help="Seed number. Default: the first of the suite.")] = None,
    projection: Annotated[str, typer.Option(help="tsne or pca.")] = "tsne",
    samples: Annotated[int, typer.Option(min=3, help="The most samples of a domain.")] = 500,
    results: options.Results = Path("results"),
    data: options.DataRoot = None,
    device: options.Device = "auto",
    plugin: options.Plugins = None,
    download: options.Download = False,
    out: Annotated[Path, typer.Option(metavar="DIR", help="Directory of the plot.")] = Path("out/plots"),
) -> None:
    """Draw source and target samples in a plane: as they are, under the baseline, and under deep methods.

    Models saved by `tlbench run --save-models` are used; a case without one runs here, and nothing of it is written.
    """
    if projection not in ("tsne", "pca"):
        raise TlbenchError(f"Unknown projection {projection!r}. Available: tsne, pca.")
    from tlbench.api.feature_views import feature_views
    from tlbench.plots import styled
    from tlbench.plots.features import NAMES, feature_maps
    from tlbench.plots.style import write_figure

    options.allow_download(download)
    kind = cast("Projection", projection)
    shown = feature_views(
        suite,
        method or [],
        pair=pair,
        seed=seed,
        samples=samples,
        results=results,
        data=data,
        device=device,
        plugins=plugin or [],
    )
    heading = f"{shown.heading} ({NAMES[kind]})"
    stem = out / f"{shown.suite.replace(' v', '-v')}-features-{projection}"
    with styled():
        figure = feature_maps(shown.views, shown.labels, shown.classes, kind, heading)
        for path in write_figure(figure, stem, heading, "Each panel is a projection of its own, fitted on both domains."):
            console.echo(f"wrote {path}")
