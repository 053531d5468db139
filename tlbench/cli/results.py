"""Results directories: `tlbench status`, `tlbench merge`, and `tlbench results` to prune and pack them."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tlbench.cli import console, options
from tlbench.errors import TlbenchError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tlbench.suite import Suite
    from tlbench.terms import Record

app = typer.Typer(help="Tidy a results directory.", no_args_is_help=True)

MAX_FAILURES = 10
"""The number of failed cases that `status` prints of a suite."""


class PrunableKind(StrEnum):
    """Kinds of records that no table counts."""

    superseded = "superseded"
    failed = "failed"
    stale = "stale"


def status(
    directory: options.ResultsDirectory = Path("results"),
    suite: options.SuitesOfRecords = None,
    plugin: options.Plugins = None,
    json: options.Json = False,
) -> None:
    """Print the progress of the runs of a results directory: done, left, failed, time left."""
    from tlbench import session

    session.register_plugins(plugin or ())
    counted = [_counts(directory, name, loaded) for name, loaded in _suites_on_file(directory, suite).items()]
    if json:
        console.echo_json(counted)
        return
    for counts in counted:
        _print_status(counts)
    console.echo("data files are not looked at; `tlbench run SUITE --plan` sees whether they have changed")


def _counts(directory: Path, name: str, loaded: Suite | None) -> dict[str, Any]:
    """The counts of a suite's cases as `status --json` prints them; what is left is null without the suite's file."""
    from tlbench import records
    from tlbench.runner.case_locks import count_running_cases
    from tlbench.runner.run_status import run_status

    on_file = records.read_all(directory, (name,))
    if loaded is None:
        by_status = {status: sum(r.status == status for r in on_file) for status in ("done", "skipped", "failed")}
        return {"suite": name, **by_status, "left": None, "running": None, "left_seconds": None, "failures": []}
    now = run_status(loaded, on_file)
    return {
        "suite": name,
        "done": now.done,
        "skipped": now.skipped,
        "failed": len(now.failed),
        "left": len(now.remaining),
        "running": count_running_cases(directory / name),
        "left_seconds": now.remaining_seconds,
        "failures": [{"row": r.entry, "pair": r.pair, "seed": r.seed, "why": r.reason} for r in now.failed],
    }


def _print_status(counts: dict[str, Any]) -> None:
    """Print how many cases of a suite are done and left; of a suite without a file, only what is on file."""
    name, failures, left = counts["suite"], counts["failures"], counts["left"]
    on_file = ", ".join(f"{counts[status]} {status}" for status in ("done", "skipped", "failed"))
    if left is None:
        console.echo(f"{name}: records: {on_file}; what is left is not known without its suite file (--suite FILE)")
        return
    at_work = f" ({counts['running']} running now)" if counts["running"] else ""
    seconds = counts["left_seconds"]
    rest = f"; about {console.duration_text(seconds)}, one case at a time" if seconds else ""
    total = counts["done"] + counts["skipped"] + counts["failed"] + left
    console.echo(f"{name}: {total} cases: {on_file}, {left} left{at_work}{rest}")
    for failure in failures[:MAX_FAILURES]:
        console.echo(f"  failed: {failure['row']} {failure['pair']} seed {failure['seed']}: {failure['why']}")
    if len(failures) > MAX_FAILURES:
        console.echo(f"  and {len(failures) - MAX_FAILURES} more")


def merge(
    folders: Annotated[list[Path], typer.Argument(metavar="DIR", help="Results directories.")],
    out: Annotated[Path, typer.Option(metavar="DIR", help="Results directory that they are merged into.")],
) -> None:
    """Merge results directories; nothing is overwritten, and records of one case that differ are all kept."""
    from tlbench.records import merge as merging

    merged = merging.merge(folders, out)
    console.echo(f"{merged.written} records written to {out}, {merged.already_present} were there already")
    for conflict in merged.conflicts:
        console.warn(f"conflict: {conflict}")
    if merged.conflicts:
        console.warn(f"{len(merged.conflicts)} conflicts: both records are kept, and the tables count the one finished last")
        raise typer.Exit(1)


@app.command()
def prune(
    directory: options.ResultsDirectory = Path("results"),
    suite: options.SuitesOfRecords = None,
    spared: Annotated[
        list[PrunableKind] | None, typer.Option("--keep", help="Kind of record that stays (repeat for more).")
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Remove the records; without it they are only counted.")] = False,
    plugin: options.Plugins = None,
) -> None:
    """Remove records that no table counts: superseded, failed or of an earlier version."""
    from tlbench import session

    session.register_plugins(plugin or ())
    for name, loaded in _suites_on_file(directory, suite).items():
        _prune_suite(directory, name, loaded, {kind.value for kind in spared or ()}, remove=yes)
    if not yes:
        console.echo("nothing was removed; --yes removes them")


def _prune_suite(directory: Path, name: str, loaded: Suite | None, spared: set[str], *, remove: bool) -> None:
    """Remove the prunable records of a suite, or only count them."""
    from tlbench import records
    from tlbench.runner.run_status import prunable

    if loaded is None:
        console.echo(f"{name}: no suite file (--suite FILE): stale records are not known, and stay")
    kinds: list[str] = []

    def indices(on_file: Sequence[Record]) -> list[int]:
        removable = {index: kind for index, kind in prunable(loaded, on_file).items() if kind not in spared}
        kinds.extend(removable.values())
        return list(removable)

    records.prune_records(directory, name, indices, only_count=not remove)
    counts = ", ".join(f"{kinds.count(kind.value)} {kind.value}" for kind in PrunableKind)
    console.echo(f"{name}: {len(kinds)} records {'removed' if remove else 'would go'}: {counts}")


@app.command()
def pack(
    directory: options.ResultsDirectory = Path("results"),
    suite: options.SuitesOfRecords = None,
    plugin: options.Plugins = None,
) -> None:
    """Pack files of predictions and facts into one file a method entry and suite; all commands read them there."""
    from tlbench.records import packing

    for name in _resting_suites(directory, suite, plugin):
        packed = packing.pack(directory, name)
        unnamed = f", {packed.unnamed} that no record names stay" if packed.unnamed else ""
        console.echo(f"{name}: {packed.files} files packed into {packed.packs}{unnamed}")
        for file in packed.damaged:
            console.warn(f"warning: {file}: The content is another than the name states. The file is not packed.")


@app.command()
def unpack(
    directory: options.ResultsDirectory = Path("results"),
    suite: options.SuitesOfRecords = None,
    plugin: options.Plugins = None,
) -> None:
    """Restore the files of predictions and facts that `pack` has packed, and remove the packs."""
    from tlbench.records import packing

    for name in _resting_suites(directory, suite, plugin):
        console.echo(f"{name}: {packing.unpack(directory, name)} files unpacked")


def _resting_suites(directory: Path, suites: list[str] | None, plugins: list[Path] | None) -> list[str]:
    """The suites that a results directory has records of, and that no run works on.

    Raises:
        TlbenchError: there is no such directory, no record of a named suite, or a run is at work.
    """
    from tlbench import session
    from tlbench.runner.case_locks import count_running_cases

    session.register_plugins(plugins or ())
    names = [*_suites_on_file(directory, suites)]
    if running := [name for name in names if count_running_cases(directory / name)]:
        raise TlbenchError(f"{directory}: A run is at work on {', '.join(running)}. Pack or unpack when it has ended.")
    return names


def _suites_on_file(directory: Path, suites: list[str] | None) -> dict[str, Suite | None]:
    """The suites that a results directory has records of; None where no suite file is known.

    Raises:
        TlbenchError: there is no such directory, or no record of a named suite.
    """
    from tlbench import records, session
    from tlbench.suite import shipped_suites

    if not directory.is_dir():
        raise TlbenchError(f"There is no results directory {directory}. `tlbench run SUITE --results {directory}` makes it.")
    named = {loaded.name: loaded for loaded in session.load_suites(suites or [])}
    names = sorted(named) or [folder.name for folder in records.suite_folders(directory) if records.suite_files(folder)]
    if missing := [name for name in names if not (directory / name).is_dir()]:
        raise TlbenchError(f"{directory}: There are no records of {', '.join(missing)}.")
    return {name: named.get(name) or (session.load_suite(name) if name in shipped_suites() else None) for name in names}
