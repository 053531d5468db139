"""`tlbench run`: run suites, or print the plan of a run."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tlbench.cli import console, options, report

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tlbench.runner import RunPlan
    from tlbench.session import Session

Checkpoint = Annotated[
    float | None, typer.Option(min=0.0, metavar="SECONDS", help="Write a checkpoint of a long case this often.")
]
SaveModels = Annotated[
    bool, typer.Option("--save-models", help="Save each fitted method beside its record, for tlbench.load_model.")
]


def run(
    suites: options.SuiteNames,
    method: options.Methods = None,
    pair: options.Pairs = None,
    seed: options.Seeds = None,
    device: options.Device = "auto",
    data: options.DataRoot = None,
    results: options.Results = Path("results"),
    plan: Annotated[bool, typer.Option("--plan", help="Print which cases would run and about how long they take.")] = False,
    fresh: Annotated[bool, typer.Option("--fresh", help="Run cases again that have a record.")] = False,
    download: options.Download = False,
    workers: options.Workers = 1,
    ray: options.Ray = None,
    gpus_per_case: options.GpusPerCase = 0.0,
    isolated: options.Isolated = False,
    devices: Annotated[int, typer.Option(min=1, help="Train each case on so many devices, data parallel.")] = 1,
    threads: Annotated[int | None, typer.Option(min=1, help="CPU threads of a case. Default: cores // workers.")] = None,
    timeout: options.Timeout = None,
    checkpoint: Checkpoint = None,
    save_models: SaveModels = False,
    plugin: options.Plugins = None,
    margin: options.Margin = None,
    tables: Annotated[bool, typer.Option(help="Print the summary at the end.")] = True,
    quiet: Annotated[bool, typer.Option("--quiet", help="Print nothing but failures.")] = False,
    debug: options.Debug = False,
    json: Annotated[bool, typer.Option("--json", help="Print events for other programs, one JSON object a line.")] = False,
) -> None:
    """Run suites; a case that has a record is not run again."""
    from tlbench import session
    from tlbench.progress import Style

    write = console.reserve_stdout() if json else None
    options.allow_download(download)
    session.register_plugins(plugin or ())
    loaded = session.load_suites(suites)
    pool: dict[str, Any] = {"workers": workers, "devices": devices, "ray": ray, "gpus_per_case": gpus_per_case}
    limits: dict[str, Any] = {"isolated": isolated, "threads": threads, "timeout": timeout, "checkpoint": checkpoint}
    opened = session.open_session(
        device=device,
        **pool,
        **limits,
        results=results,
        data=data,
        style=Style.json if json else Style.quiet if quiet else Style.auto,
        warn=console.warn,
        write=write,
        debug=debug,
    )
    chosen: dict[str, Any] = {"methods": method or (), "pairs": pair or (), "seeds": seed or ()}
    plans = opened.plan(loaded, **chosen, fresh=fresh, write=not plan, save_models=save_models)
    for note in _without_models(plans) if save_models else ():
        console.warn(note)
    if plan:
        for one in plans:
            _print_plan(one, opened, margin)
    elif failed := _run_plans(opened, plans, tables and not quiet and not json, margin):
        console.warn(f"{failed} failed; `why` in their records says what happened, and the same command tries them again")
        raise typer.Exit(1)


def _without_models(plans: Sequence[RunPlan]) -> list[str]:
    """A note on each suite some of whose records on file name no model: their cases are not run again for that."""
    counts = {one.suite.name: sum(r.status == "done" and r.model is None for r in one.on_file) for one in plans}
    return [
        f"note: {name}: {count} cases on file have no model; with --fresh they run again, and their models are saved"
        for name, count in counts.items()
        if count
    ]


def _run_plans(opened: Session, plans: Sequence[RunPlan], tables: bool, margin: float | None) -> int:
    """Run plans one after the other; the number of failed cases."""
    failed = 0
    with console.interruptible(opened.stop, "stopped; every finished case is on file, and the same command goes on from there"):
        for plan in plans:
            records = opened.run(plan)
            failed += sum(record.status == "failed" for record in records)
            if tables:
                from tlbench import reports  # pandas and scipy take their memory after the cases, not beside them

                frame = reports.frame([*plan.on_file, *records])
                flips = reports.negative_flips(opened.results, frame)
                report.write(reports.tables(frame, "summary", flips, margin, [plan.suite]))
                report.write_more([plan.suite.name], opened.results)
    return failed


def _print_plan(plan: RunPlan, opened: Session, margin: float | None) -> None:
    """Print the pending cases of a plan, about how long they take here, and the margin of error to expect."""
    from tlbench.runner import estimate_seconds, local
    from tlbench.runner.plan import changed_contents, other_software

    finished = [*plan.earlier_records, *local.probe(plan, opened.device)]
    seconds, without_estimate = estimate_seconds(plan.pending, finished)
    console.echo(f"{plan.suite.name}: {len(plan.pending)} cases to run, {len(plan.on_file)} on file")
    for note in filter(None, [*changed_contents(plan), other_software(plan.on_file)]):
        console.echo(note)
    for entry in plan.suite.methods:
        cases = [case for case in plan.pending if case.entry == entry]
        if cases:
            console.echo(f"  {entry:24} {len(cases):5} cases  {', '.join(dict.fromkeys(case.pair for case in cases))}")
    if plan.pending:
        rest = f"; {without_estimate} cases could not be estimated (shallow methods)" if without_estimate else ""
        console.echo(f"about {console.duration_text(seconds)} here{rest}")
    console.echo(report.expected_precision(plan, margin))
