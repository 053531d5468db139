"""`tlbench check` and `tlbench verify`: files of users held to the contracts, and results files run again."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tlbench.cli import console, options
from tlbench.errors import ContractError, TlbenchError

if TYPE_CHECKING:
    from tlbench.checks.rerun import RerunResult
    from tlbench.suite import Suite

FILES = "Give a suite (.toml), a method or backbone (.py), a results file (.jsonl) or a folder of results files."


def check(
    paths: Annotated[
        list[Path],
        typer.Argument(
            metavar="FILE",
            help="Suites (.toml), methods and backbones (.py), results files (.jsonl) and folders of them.",
            show_default=False,
        ),
    ],
    suite: options.SuiteOfResults = None,
    data: options.DataRoot = None,
    plugin: options.Plugins = None,
    debug: options.Debug = False,
    json: options.Json = False,
) -> None:
    """Validate suites, methods, backbones and results files by the contract checks that the shipped ones pass."""
    from tlbench import session

    session.register_plugins(plugin or ())
    outcomes: list[dict[str, Any]] = []
    for path in (file for folder in paths for file in _files_of(folder)):
        passed, errors = _outcome(path, suite, data, debug)
        outcomes.append({"file": str(path), "passed": passed, "errors": errors})
        if json:
            continue
        if len(paths) > 1 and passed:
            console.echo(str(path))
        for sentence in passed:
            console.echo(f"ok  {sentence}")
    texts = [text for outcome in outcomes for text in outcome["errors"]]
    if json:
        console.echo_json(outcomes)
        if texts:
            raise typer.Exit(2)
    elif texts:
        raise TlbenchError("\n".join(texts))


def _outcome(path: Path, suite: str | None, data: Path | None, debug: bool) -> tuple[list[str], list[str]]:
    """The checks that a file passes, and the errors of those that it does not."""
    try:
        return _check_file(path, suite, data), []
    except ContractError as error:
        text = f"{error}\n{error.traceback}" if debug and error.traceback else str(error)
        return list(error.passed), [text]
    except TlbenchError as error:
        return [], [str(error)]


def _files_of(path: Path) -> list[Path]:
    """The results files of a suite's folder or of a results directory; any other path alone."""
    if not path.is_dir():
        return [path]
    from tlbench import records

    files = records.suite_files(path) or list(records.files(path))
    return files or [path]


def _check_file(path: Path, suite: str | None, root: Path | None) -> list[str]:
    """The checks that a file passes, a sentence each.

    Raises:
        TlbenchError: the file does not pass, or there is no such file.
    """
    if not path.exists():
        raise TlbenchError(f"There is no file {path}. {FILES}")
    if path.suffix not in {".toml", ".py", ".jsonl"}:
        raise TlbenchError(f"{path} can't be checked. {FILES}")
    from tlbench import checks, session

    if path.suffix == ".toml":
        loaded_suite = session.load_suite(path)
        passed = checks.check_suite(loaded_suite)
        for warning in checks.suite_warnings(loaded_suite):
            console.warn(f"warning: {warning}")
        return passed if root is None else [*passed, *checks.check_suite_data(loaded_suite, root)]
    if path.suffix == ".py":
        return _check_plugin(path)
    if (loaded := _suite_of(path, suite)) is not None:
        from tlbench.data import resolve_data_root

        return checks.check_contribution(path, loaded, resolve_data_root(root, loaded.path))
    name = path.absolute().parent.name
    console.warn(f"note: {name!r} is no shipped suite; pairs, seeds, hash and options are not checked without --suite FILE")
    return checks.check_results(path)


def _check_plugin(path: Path) -> list[str]:
    """The contract checks that a method or a backbone passes; lines at which a method's step waits for the device are noted."""
    from tlbench import checks, methods, plugins

    name = methods.register_file(path)
    if plugins.is_backbone(path):
        return checks.check_backbone(name)
    passed = checks.check_method(name)
    for line in checks.host_syncs(name):
        console.warn(
            f"note: a step reads a value at {line}; on a GPU it is a host-device synchronisation, and prevents a CUDA graph"
        )
    return passed


def verify(
    file: Annotated[Path, typer.Argument(metavar="RESULTS/SUITE/ENTRY.jsonl", help="Results file.")],
    sample: Annotated[int, typer.Option(min=1, help="Number of cases to run again.")] = 3,
    device: options.Device = "auto",
    data: options.DataRoot = None,
    suite: options.SuiteOfResults = None,
    plugin: options.Plugins = None,
    isolated: options.Isolated = True,
) -> None:
    """Run some cases of a results file again on this machine, and compare the scores."""
    from tlbench import engine, session
    from tlbench.checks import rerun
    from tlbench.data import resolve_data_root

    session.register_plugins(plugin or ())
    if not file.is_file():
        raise TlbenchError(f"There is no results file {file}.")
    loaded = _suite_of(file, suite)
    if loaded is None:
        raise TlbenchError(
            f"{file}: {file.absolute().parent.name!r} is no shipped suite. Name the suite's file with --suite FILE."
        )
    compared = []
    root, where = resolve_data_root(data, loaded.path), engine.device_of(device)
    for one in rerun.verify(file, loaded, root, where, sample, isolated=isolated):
        _print_comparison(one)
        compared.append(one)
    if not compared[0].machine_differences:
        console.echo("the machine is the same in all that is recorded of it")
    for name, (on_file, here) in compared[0].machine_differences.items():
        console.echo(f"another machine: {name} on file {on_file}, here {here}")
    console.echo(rerun.NOISE_RULE)
    if different := sum(one.verdict == "different" for one in compared):
        console.warn(f"{different} of {len(compared)} cases come out different here")
        raise typer.Exit(1)


def _print_comparison(one: RerunResult) -> None:
    """Print a case on file beside the same case run here."""
    from tlbench.metrics import METRICS

    metric = METRICS[one.on_file.metric]
    on_file, here = ("none" if value is None else f"{metric.factor * value:.2f}" for value in one.values)
    case = f"{one.on_file.entry} {one.on_file.pair} seed {one.on_file.seed}"
    noise = f"(noise: {metric.factor * one.noise:.2f})" if one.verdict != "same" else ""
    console.echo(f"{one.verdict:12}  {case}: {metric.title} on file {on_file}, here {here} {noise}".rstrip())
    if one.here.status != "done":
        console.echo(f"{'':12}  here it {one.here.status}: {one.here.reason}")


def _suite_of(file: Path, name: str | None) -> Suite | None:
    """The suite of a results file: the one that is named, else the shipped one of its folder's name; None: there is none."""
    from tlbench import session
    from tlbench.suite import shipped_suites

    folder = file.absolute().parent.name
    return session.load_suite(name or folder) if name or folder in shipped_suites() else None
