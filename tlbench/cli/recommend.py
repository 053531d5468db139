"""`tlbench recommend`: adapt or not, by which method, from which source and with which backbone."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from tlbench.cli import console, options


def recommend(
    suite: options.SuiteName,
    labels: Annotated[
        int | None, typer.Option(min=0, metavar="K", help="Labelled target samples a class. Default: those of the suite.")
    ] = None,
    results: options.Results = Path("results"),
    data: options.DataRoot = None,
    json: options.Json = False,
    page: Annotated[Path | None, typer.Option(metavar="DIR", help="Write an HTML page to this folder instead.")] = None,
) -> None:
    """Print whether to adapt, by which method, source and backbone, from records of other data sets, and how often that held.

    With --data, the sources of a suite are compared on its data, without labels of the target or with K of each class.
    """
    from tlbench import records, reports, session
    from tlbench.suite.pairs import pair_label
    from tlbench.transferability import advice_output, backbone_advice, recommendation, source_advice
    from tlbench.transferability.data_sets import data_set_of

    loaded = session.load_suite(suite)
    if labels is None:
        labels = max((loaded.protocol_of(target).target_labels for _, target in loaded.pairs), default=0)
    of_all = recommendation.deltas(reports.frame(records.iterate_records(results)), labels)
    pairs = {pair_label(pair) for pair in loaded.pairs}
    advice = advice_output.Recommendation(
        loaded.name,
        labels,
        recommendation.advise(of_all[of_all["data_set"] != data_set_of(loaded.name)]),
        recommendation.track_record(of_all),
        source_advice.advise_sources(loaded, data, labels),
        backbone_advice.advise_backbone(records.iterate_records(results), loaded.name, pairs),
    )
    if json:
        console.echo_json(advice.as_json())
    elif page is not None:
        from tlbench.site.advice_page import write_advice

        console.echo(f"wrote {write_advice(advice, page)}")
    else:
        console.echo(advice_output.text(advice).rstrip("\n"))
