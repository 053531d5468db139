"""Running suites, and what is there of a run: `run`, `status`, `results prune`. No logic."""

from __future__ import annotations

import signal
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tlbench.cli import data as cli_data
from tlbench.cli import report
from tlbench.errors import TlbenchError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tlbench.runner import RunPlan
    from tlbench.suite import Suite
    from tlbench.terms import Record

app = typer.Typer()
results_app = typer.Typer(help="Look after a results directory.", no_args_is_help=True)
app.add_typer(results_app, name="results")

Results = Annotated[Path, typer.Option("--results", help="Directory of the records: <results>/<suite>/<row>.jsonl.")]


def number_of_workers(text: str) -> int:
    """A number from 1, or `auto`, which is 0: as many as fit."""
    if text == "auto":
        return 0
    if not str(text).isdecimal() or int(text) < 1:
        raise typer.BadParameter(f"{text!r} is neither a number from 1 nor auto")
    return int(text)


Workers = Annotated[
    int,
    typer.Option(
        parser=number_of_workers,
        metavar="N|auto",
        help="Cases at once on this machine, each in a process; auto: one a core, on a GPU as many as fit.",
    ),
]
Plugins = Annotated[list[Path] | None, typer.Option("--plugin", help="A file with a method outside the package.")]


class PrunableKind(StrEnum):
    """Kinds of records that count for nothing."""

    superseded = "superseded"
    failed = "failed"
    stale = "stale"


def _warn(text: str) -> None:
    typer.echo(text, err=True)


@app.command()
def run(
    suites: Annotated[list[str], typer.Argument(metavar="SUITE...", help="Suite files, or names of shipped suites.")],
    method: Annotated[list[str] | None, typer.Option(help="Only this method row (again for more).")] = None,
    pair: Annotated[list[str] | None, typer.Option(metavar="SOURCE:TARGET", help="Only this pair.")] = None,
    seed: Annotated[list[int] | None, typer.Option(help="Only this seed number.")] = None,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or cuda:N.")] = "auto",
    data: Annotated[Path | None, typer.Option(help="Data root; else TLBENCH_DATA, else the suite's folder.")] = None,
    results: Results = Path("results"),
    plan: Annotated[bool, typer.Option("--plan", help="Print what would run and about how long.")] = False,
    fresh: Annotated[bool, typer.Option("--fresh", help="Run finished cases again too.")] = False,
    download: cli_data.Download = False,
    workers: Workers = 1,
    ray: Annotated[
        str | None, typer.Option(metavar="[ADDRESS]", help="Run on a Ray cluster: auto, local or HOST:PORT.")
    ] = None,
    gpus_per_case: Annotated[float, typer.Option(min=0.0, help="With --ray: GPUs of a case, such as 0.25.")] = 0.0,
    devices: Annotated[int, typer.Option(min=1, help="Run each case on so many devices, data parallel.")] = 1,
    threads: Annotated[int | None, typer.Option(min=1, help="Threads of a case; else cores // workers.")] = None,
    timeout: Annotated[float | None, typer.Option(min=0.001, metavar="SECONDS", help="A longer case fails.")] = None,
    checkpoint: Annotated[
        float | None, typer.Option(min=0.0, metavar="SECONDS", help="Keep a long case's state this often.")
    ] = None,
    plugin: Plugins = None,
    half_width: report.HalfWidth = None,
    tables: Annotated[bool, typer.Option(help="Print the tables at the end.")] = True,
    quiet: Annotated[bool, typer.Option("--quiet", help="Say nothing but failures, and print no tables.")] = False,
    json: Annotated[bool, typer.Option("--json", help="Events for other programs, one JSON object a line.")] = False,
) -> None:
    """Run suites: what is on file already is not run again."""
    cli_data.allow(download)
    _plug(plugin)
    loaded = _suites(suites)
    from tlbench import engine, progress, records, runner
    from tlbench.data import resolve_data_root
    from tlbench.runner import local, resources
    from tlbench.runner.interrupts import StopRequest
    from tlbench.runner.worker import Limits

    on = engine.device_of(device)
    where = resources.Resources(workers, devices, ray, gpus_per_case, device in {"auto", "cuda"})
    plans, wrong, failed = [], where.errors(), 0
    for suite in loaded:  # all of them before the first case: the third suite's missing file is said now, not tonight
        try:
            if not plan or (results / suite.name).is_dir():
                records.prepare(results, suite.name, _warn)
            root = resolve_data_root(data, suite.path)
            only = (method or (), pair or (), seed or ())
            plans.append(runner.plan_run(suite, results, root, entries=only[0], pairs=only[1], seeds=only[2], fresh=fresh))
        except TlbenchError as error:
            wrong.append(str(error))
    if wrong:
        raise TlbenchError("\n".join(dict.fromkeys(wrong)))
    if plan:
        for todo in plans:
            _print_plan(todo, runner.estimate(todo.pending, [*todo.earlier_records, *local.probe(todo, on)]))
            typer.echo(report.outlook(todo, half_width))
        return
    limits = resources.share_cores(Limits(timeout_seconds=timeout, threads=threads, checkpoint_seconds=checkpoint), where)
    style = progress.Style.json if json else progress.Style.quiet if quiet else progress.Style.auto
    with StopRequest(_warn) as stop:
        try:
            for todo in plans:
                pool = resources.make_pool(todo, on, limits, where, results=results)
                ended = progress.show(todo, results, pool, on, limits=limits, stop=stop, style=style)
                failed += sum(record.status == "failed" for record in ended)
                if stop.asked:
                    raise KeyboardInterrupt
                if tables and style is progress.Style.auto:
                    from tlbench import reports  # pandas and scipy take their memory after the cases, not beside them

                    frame = reports.frame([*todo.on_file, *ended])
                    report.write(reports.tables(frame, "main", reports.negative_flips(results, frame), half_width))
        except KeyboardInterrupt:
            _warn("stopped; every finished case is on file, and the same command goes on from there")
            raise typer.Exit(128 + (stop.signal or signal.SIGINT)) from None
    if failed:
        _warn(f"{failed} failed; `why` in their records says what happened, and the same command tries them again")
        raise typer.Exit(1)


@app.command()
def status(
    directory: Annotated[Path, typer.Argument(metavar="[DIR]", help="A results directory.")] = Path("results"),
    suite: Annotated[list[str] | None, typer.Option(help="Suite file or name; else the shipped ones of the folders.")] = None,
    plugin: Plugins = None,
) -> None:
    """Say how far the runs of a results directory are: done, left, failed, time left."""
    _plug(plugin)
    from tlbench import records
    from tlbench.runner.case_locks import count_running_cases
    from tlbench.runner.run_status import run_status

    for name, loaded in _on_file(directory, suite).items():
        found = records.read_all(directory, (name,))
        if loaded is None:
            said = ", ".join(f"{sum(r.status == s for r in found)} {s}" for s in ("done", "skipped", "failed"))
            typer.echo(f"{name}: records: {said}; what is left is not known without its suite file (--suite FILE)")
            continue
        now, busy = run_status(loaded, found), count_running_cases(directory / name)
        total = now.done + now.skipped + len(now.failed) + len(now.remaining)
        counts = f"{now.done} done, {now.skipped} skipped, {len(now.failed)} failed, {len(now.remaining)} left"
        at_work = f" ({busy} running now)" if busy else ""
        rest = "" if not now.remaining_seconds else f"; about {cli_data.duration(now.remaining_seconds)}, one case at a time"
        typer.echo(f"{name}: {total} cases: {counts}{at_work}{rest}")
        for record in now.failed[:10]:
            typer.echo(f"  failed: {record.entry} {record.pair} seed {record.seed}: {record.reason}")
        if len(now.failed) > 10:
            typer.echo(f"  and {len(now.failed) - 10} more")
    typer.echo("data files are not looked at; `tlbench run SUITE --plan` sees whether they have changed")


@results_app.command()
def prune(
    directory: Annotated[Path, typer.Argument(metavar="[DIR]", help="A results directory.")] = Path("results"),
    suite: Annotated[list[str] | None, typer.Option(help="Suite file or name; else the shipped ones of the folders.")] = None,
    keep: Annotated[list[PrunableKind] | None, typer.Option(help="A kind of record that stays (again for more).")] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Remove them; without it they are only counted.")] = False,
    plugin: Plugins = None,
) -> None:
    """Remove records that count for nothing: superseded by later ones, failed, or of versions that are no more."""
    _plug(plugin)
    from tlbench import records
    from tlbench.runner.run_status import prunable

    stay = {kind.value for kind in keep or ()}
    for name, loaded in _on_file(directory, suite).items():
        if loaded is None:
            typer.echo(f"{name}: no suite file (--suite FILE): stale records are not known, and stay")
        kinds: list[str] = []

        def chosen(found: Sequence[Record], suite: Suite | None = loaded, kinds: list[str] = kinds) -> list[int]:
            going = {at: kind for at, kind in prunable(suite, found).items() if kind not in stay}
            kinds += going.values()
            return list(going) if yes else []

        records.prune_records(directory, name, chosen)
        said = ", ".join(f"{kinds.count(kind.value)} {kind.value}" for kind in PrunableKind)
        typer.echo(f"{name}: {len(kinds)} records {'removed' if yes else 'would go'}: {said}")
    if not yes:
        typer.echo("nothing was removed; --yes removes them")


def _on_file(directory: Path, suites: list[str] | None) -> dict[str, Suite | None]:
    """The suites that a results directory has records of; None where no suite file is known."""
    from tlbench.suite import shipped_suites

    if not directory.is_dir():
        raise TlbenchError(f"no results directory {directory}; `tlbench run SUITE --results {directory}` makes one")
    given = {one.name: one for one in _suites(suites or [])}
    names = sorted(given) or sorted(p.name for p in directory.iterdir() if p.is_dir() and any(p.glob("*.jsonl")))
    if missing := [name for name in names if not (directory / name).is_dir()]:
        raise TlbenchError(f"{directory}: no records of {', '.join(missing)}")
    known = {name: _suites([name])[0] for name in names if name in shipped_suites() and name not in given}
    return {name: given.get(name) or known.get(name) for name in names}


def _plug(files: list[Path] | None) -> None:
    from tlbench import methods

    for file in files or ():
        methods.register_file(file)


def _suites(names: list[str]) -> list[Suite]:
    """All suites, or all their mistakes."""
    from tlbench import api

    loaded, wrong = [], []
    for name in names:
        try:
            loaded.append(api.load_suite(name))
        except TlbenchError as error:
            wrong.append(str(error))
    if wrong:
        raise TlbenchError("\n".join(wrong))
    return loaded


def _print_plan(todo: RunPlan, estimate: tuple[float, int]) -> None:
    seconds, blind = estimate
    typer.echo(f"{todo.suite.name}: {len(todo.pending)} cases to run, {len(todo.on_file)} on file")
    rows = {row: [case for case in todo.pending if case.entry == row] for row in todo.suite.methods}
    for row, cases in rows.items():
        if cases:
            pairs = dict.fromkeys(case.pair for case in cases)
            typer.echo(f"  {row:24} {len(cases):5} cases  {', '.join(pairs)}")
    if todo.pending:
        rest = f"; {blind} cases could not be estimated (they are solved, not trained)" if blind else ""
        typer.echo(f"about {cli_data.duration(seconds)} here{rest}")
