"""`tlbench run`: run suites, or print the plan of a run."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tlbench.cli import console, options, report
from tlbench.errors import TlbenchError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from tlbench.runner import RunPlan
    from tlbench.session import Session
    from tlbench.suite import Suite

Checkpoint = Annotated[
    float | None, typer.Option(min=0.0, metavar="SECONDS", help="Write a checkpoint of a long case this often.")
]
SaveModels = Annotated[
    bool, typer.Option("--save-models", help="Save each fitted method beside its record, for tlbench.load_model.")
]


def run(
    suites: options.SuiteNames = None,
    every: Annotated[
        bool, typer.Option("--all", help="Run all shipped suites whose data are here, one after the other.")
    ] = False,
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
    loaded = session.load_suites(_names(suites or (), every))
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
    chosen |= {"fresh": fresh, "write": not plan, "save_models": save_models}
    planned: Callable[[Sequence[Suite]], list[RunPlan]] = partial(opened.plan, **chosen)
    plans = _plans_of_all(planned, loaded) if every else planned(loaded)
    if plan:
        _print_plans(plans, opened, margin, total=every)
    elif failed := _run_plans(opened, plans, tables and not quiet and not json, margin):
        console.warn(f"{failed} failed; `why` in their records says what happened, and the same command tries them again")
        raise typer.Exit(1)


def _names(suites: Sequence[str], every: bool) -> list[str]:
    """The suites that are run.

    Raises:
        TlbenchError: neither suites nor all of them were asked for, or both were.
    """
    from tlbench.suite import shipped_suites

    if bool(suites) == every:
        raise TlbenchError(
            "--all runs all shipped suites. Leave the names out, or leave --all out."
            if every
            else "Which suites? Give names or files; `tlbench list suites` names those that ship, and --all runs all of them."
        )
    return list(suites or shipped_suites())


def _plans_of_all(planned: Callable[[Sequence[Suite]], list[RunPlan]], suites: Sequence[Suite]) -> Iterator[RunPlan]:
    """The plan of each suite when its turn comes; one whose data are not here is left out with a warning."""
    for suite in suites:
        try:
            yield from planned([suite])
        except TlbenchError as error:
            console.warn(f"{suite.name} is left out: {error}")


def _warn_of_missing_models(plan: RunPlan) -> None:
    """Say that records on file name no model, where models are asked for: their cases are not run again for that."""
    count = sum(record.status == "done" and record.model is None for record in plan.on_file)
    if plan.save_models and count:
        console.warn(
            f"note: {plan.suite.name}: {count} cases on file have no model; with --fresh they run again, and their models are "
            "saved"
        )


def _run_plans(opened: Session, plans: Iterable[RunPlan], tables: bool, margin: float | None) -> int:
    """Run plans one after the other; the number of failed cases."""
    failed = 0
    with console.interruptible(opened.stop, "stopped; every finished case is on file, and the same command goes on from there"):
        for plan in plans:
            _warn_of_missing_models(plan)
            records = opened.run(plan)
            failed += sum(record.status == "failed" for record in records)
            if tables:
                from tlbench import reports  # pandas and scipy take their memory after the cases, not beside them

                frame = reports.frame([*plan.on_file, *records])
                flips = reports.negative_flips(opened.results, frame)
                report.write(reports.tables(frame, "summary", flips, margin, [plan.suite]))
                report.write_more(frame, opened.results)
    return failed


def _print_plans(plans: Iterable[RunPlan], opened: Session, margin: float | None, total: bool) -> None:
    """Print plans one after the other, and at the end how long all of them take where a total is asked for."""
    printed = [_print_plan(one, opened, margin) for one in plans]
    if total:
        cases, seconds = sum(count for count, _ in printed), sum(seconds for _, seconds in printed)
        console.echo(f"{len(printed)} suites with data here: {cases} cases to run, about {console.duration_text(seconds)} here")


def _print_plan(plan: RunPlan, opened: Session, margin: float | None) -> tuple[int, float]:
    """Print the pending cases of a plan, about how long they take here, and the margin of error to expect.

    Returns:
        The number of pending cases, and the seconds.
    """
    from tlbench.runner import estimate_seconds, local
    from tlbench.runner.plan import changed_contents, other_software

    _warn_of_missing_models(plan)
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
    return len(plan.pending), seconds
