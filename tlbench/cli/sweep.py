"""`tlbench sweep`: search a method's options."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tlbench.cli import console, options
from tlbench.errors import TlbenchError, unknown_name

if TYPE_CHECKING:
    from tlbench.suite import Suite

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
    method: Annotated[str, typer.Option(metavar="NAME", help="Method entry of the suite whose options are searched.")],
    trials: Annotated[int, typer.Option(min=1, help="Number of trials, those of earlier calls included.")] = 20,
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
    loaded, tuned = _load(suite, method, into), f"{method}_tuned"
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
    entry = loaded.methods[method]
    ranges = sweeps.search_space(entry.method or method, entry.options, option or ())
    console.warn(f"{method}: {', '.join(f'{name} in {range_}' for name, range_ in ranges.items())}")
    folder = out or Path("out/sweeps") / loaded.name / method
    with console.interruptible(opened.stop, "stopped; what has run is kept, and the same command goes on from there"):
        best = sweeps.run_sweep(
            loaded,
            method,
            trials,
            folder,
            opened.data_root(loaded),
            opened.run,
            rule=rule,
            pairs=pair or (),
            seeds=seed or (),
            ranges=ranges,
            parallel_trials=PARALLEL_TRIALS if ray else workers or PARALLEL_TRIALS,
            on_trial=_print_trial,
        )
    _write_entry(best.to_toml(tuned), tuned, folder, into)


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
