"""`tlbench sweep`: search a method's options."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tlbench.cli import console, options
from tlbench.errors import TlbenchError, unknown_name

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tlbench.session import Session
    from tlbench.suite import Suite

STOPPED = "stopped; what has run is kept, and the same command goes on from there"
TRIALS = 20
"""The trials of a search of one method entry."""
PARALLEL_TRIALS = 4
"""The number of trials that run at once where the workers are not numbered."""


Ranges = Annotated[
    list[str] | None,
    typer.Option(metavar="NAME=LOW:HIGH[:log]", help="Search this range (NAME=A|B: these values) and no other option."),
]
Rule = Annotated[
    str | None, typer.Option(help="Model selection rule, one of the suite's protocol.selection. Default: its first.")
]
StudyFolder = Annotated[Path | None, typer.Option(metavar="DIR", help="Folder of the study. Default: out/sweeps/SUITE/NAME.")]
TunedSuite = Annotated[
    Path | None, typer.Option(metavar="FILE", help="Write the selected options into this suite file, as NAME_tuned.")
]


def sweep(
    suite: options.SuiteName,
    method: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="Method entry whose options are searched. Default: all, by the suite's [tuning]."),
    ] = None,
    trials: Annotated[
        int | None, typer.Option(min=1, help="Trials of --method, those of earlier calls included. Default: 20.")
    ] = None,
    option: Ranges = None,
    rule: Rule = None,
    pair: options.Pairs = None,
    seed: options.Seeds = None,
    out: StudyFolder = None,
    into: TunedSuite = None,
    workers: options.Workers = 1,
    ray: options.Ray = None,
    gpus_per_case: options.GpusPerCase = 0.0,
    timeout: options.Timeout = None,
    device: options.Device = "auto",
    data: options.DataRoot = None,
    plugin: options.Plugins = None,
) -> None:
    """Search a method's options by a rule that reads no label of a scored sample; the same command continues a search."""
    from tlbench import session
    from tlbench import sweep as sweeps
    from tlbench.progress import Style

    session.register_plugins(plugin or ())
    opened = session.open_session(
        device=device,
        workers=workers,
        ray=ray,
        gpus_per_case=gpus_per_case,
        timeout=timeout,
        data=data,
        style=Style.quiet,
        warn=console.warn,
    )
    opened.check_resources()
    if method is None:
        if trials or option or rule or into:
            raise TlbenchError("--trials, --option, --rule and --into are of one method entry. Name it with --method.")
        _tune(opened, session.load_suite(suite), pair or (), seed or (), out)
        return
    loaded, tuned = _load(suite, method, into), f"{method}_tuned"
    entry = loaded.methods[method]
    ranges = sweeps.search_space(entry.method or method, entry.options, option or ())
    console.warn(f"{method}: {', '.join(f'{name} in {range_}' for name, range_ in ranges.items())}")
    folder = out or Path("out/sweeps") / loaded.name / method
    parallel = PARALLEL_TRIALS if ray else workers or PARALLEL_TRIALS
    search = partial(sweeps.run_sweep, rule=rule, pairs=pair or (), seeds=seed or (), ranges=ranges, parallel_trials=parallel)
    with console.interruptible(opened.stop, STOPPED):
        best = search(loaded, method, trials or TRIALS, folder, opened.data_root(loaded), opened.run, on_trial=_print_trial)
    _write_entry(best.to_toml(tuned), tuned, folder, into)


def _tune(opened: Session, loaded: Suite, pairs: Sequence[str], seeds: Sequence[int], out: Path | None) -> None:
    """Run the trials of all method entries of a suite, and print what each rule selects.

    Args:
        opened: where cases run.
        loaded: the suite, with the tables [tuning] and [selection].
        pairs: the pairs of each trial; empty: all.
        seeds: the seeds of each trial; empty: those of the suite.
        out: the results directory of the trials; None: out/tuning.

    Raises:
        TlbenchError: the suite has no such tables, or can't be run.
    """
    from tlbench import records, reports
    from tlbench import sweep as sweeps
    from tlbench.cli.report import write

    rule = loaded.tuning.rule if loaded.tuning is not None else ""
    opened = dataclasses.replace(opened, results=out or Path("out") / (f"tuning_{rule}" if rule else "tuning"))
    with console.interruptible(opened.stop, STOPPED):
        if rule:
            _search_all(opened, loaded, pairs, seeds)
        else:
            suites = sweeps.tuning_suites(loaded, pairs)
            for number, one in enumerate(suites):
                (plan,) = opened.plan([one], seeds=seeds)
                finished = opened.run(plan)
                console.warn(f"trial {number} of {len(suites)}: {len(finished)} cases run, {len(plan.on_file)} on file")
    on_file = list(records.iterate_records(opened.results, (loaded.name,)))
    selections = reports.rule_selections(opened.results, on_file)
    write(reports.tables(reports.frame(on_file), "selection", selections=selections))


def _search_all(opened: Session, loaded: Suite, pairs: Sequence[str], seeds: Sequence[int]) -> None:
    """Search each method entry by the rule of `[tuning]`, and print its best trial."""
    from tlbench import sweep as sweeps

    searches = sweeps.tune_by_rule(loaded, opened.results, opened.data_root(loaded), opened.run, pairs=pairs, seeds=seeds)
    for name, best in searches:
        if isinstance(best, TlbenchError):
            console.warn(f"{name}: {best}")
        else:
            console.warn(f"{name}: trial {best.trial} of {best.trials} has the highest {best.rule.name}, {best.value:.4g}")


def _load(suite: str, method: str, into: Path | None) -> Suite:
    """Load the suite of a sweep.

    Raises:
        TlbenchError: there is no such suite or entry, or the file to write into has the tuned entry already.
    """
    from tlbench import session

    loaded = session.load_suite(suite)
    if into is not None and f"{method}_tuned" in session.load_suite(into).methods:
        raise TlbenchError(f"{into}: There is a method entry {method}_tuned already. Rename or remove it.")
    if method not in loaded.methods:
        raise TlbenchError(unknown_name(f"method entry of suite {loaded.name}", method, loaded.methods, "--method"))
    return loaded


def _print_trial(number: int, value: float | None, settings: Mapping[str, Any]) -> None:
    """Print a finished trial: its number, the value of the rule, its options."""
    shown = ", ".join(f"{k} {v:.4g}" if isinstance(v, float) else f"{k} {v}" for k, v in settings.items())
    console.warn(f"trial {number}: {'failed' if value is None else f'{value:.4f}'}  {shown}")


def _write_entry(table: str, tuned: str, folder: Path, into: Path | None) -> None:
    """Print the selected method entry, and write it into the study's folder and a suite file."""
    (folder / "chosen.toml").write_text(table, encoding="utf-8")
    console.echo(table.removesuffix("\n"))
    if into is None:
        console.warn(f"the method entry is in {folder / 'chosen.toml'}; --into FILE writes it into a suite of yours")
        return
    text = into.read_text(encoding="utf-8")
    into.write_text(text + ("" if text.endswith("\n") else "\n") + "\n" + table, encoding="utf-8")
    console.warn(f"wrote the method entry {tuned} into {into}")
