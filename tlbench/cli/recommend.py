"""`tlbench recommend`: adapt or not, and by which method, from the records of other suites."""

from __future__ import annotations

from pathlib import Path

from tlbench.cli import console, options


def recommend(suite: options.SuiteName, results: options.Results = Path("results"), json: options.Json = False) -> None:
    """Print whether to adapt on a suite and by which method, from the records of other suites, and how often that was right."""
    from tlbench import records, reports, session
    from tlbench.transferability import recommendation

    loaded = session.load_suite(suite)
    evidence = recommendation.deltas(reports.frame(records.iterate_records(results)))
    evidence = evidence[evidence["suite"] != loaded.name]
    advice, record = recommendation.advise(evidence), recommendation.track_record(evidence)
    if json:
        console.echo_json(recommendation.as_json(advice, record, loaded.name))
    else:
        console.echo(recommendation.text(advice, record, loaded.name).rstrip("\n"))
