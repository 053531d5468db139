"""The command line. Commands import heavy packages inside their functions, so that `--help` and `list` answer at once."""

from __future__ import annotations

import sys
import warnings
from pathlib import Path
from typing import Annotated

import typer

import tlbench
from tlbench import threads
from tlbench.cli import (
    bench,
    check,
    console,
    data,
    listing,
    new,
    plot,
    plots,
    recommend,
    report,
    reproduce,
    results,
    run,
    sweep,
    transferability,
)
from tlbench.errors import TlbenchError

app = typer.Typer(
    name="tlbench",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
for command in (
    *(run.run, results.status, report.report, plots.plots, plots.site, check.check, check.verify),
    *(results.merge, sweep.sweep, bench.bench, reproduce.reproduce, transferability.transferability, recommend.recommend),
):
    app.command()(command)
app.command("list")(listing.list_)
app.add_typer(new.app, name="new")
app.add_typer(plot.app, name="plot")
app.add_typer(data.app, name="data")
app.add_typer(results.app, name="results")


def _print_version(value: bool) -> None:
    if value:
        typer.echo(f"tlbench {tlbench.__version__}")
        raise typer.Exit


@app.callback()
def options_of_all(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    """Benchmark domain adaptation and transfer learning: accuracy, negative transfer and throughput, side by side."""


def main() -> None:
    """Run the command line; an error that the user can correct is one text on standard error and exit code 2."""
    threads.set_wait_policy()
    warnings.formatwarning = _format_warning
    try:
        app(expand_optional_values(sys.argv[1:]), prog_name="tlbench")
    except TlbenchError as error:
        console.warn(f"tlbench: {error}")
        sys.exit(2)
    except BrokenPipeError:
        sys.exit(141)


_default_format = warnings.formatwarning


def _format_warning(
    message: Warning | str, category: type[Warning], filename: str, lineno: int, line: str | None = None
) -> str:
    """A warning of tlbench as a sentence; a warning of another library with the line that it comes from."""
    own = issubclass(category, UserWarning) and Path(filename).is_relative_to(Path(tlbench.__file__).parent)
    return f"warning: {message}\n" if own else _default_format(message, category, filename, lineno, line)


def expand_optional_values(arguments: list[str]) -> list[str]:
    """Replace `--ray` without an address by `--ray auto`: typer has no option whose value may be left out."""
    expanded: list[str] = []
    for position, argument in enumerate(arguments):
        expanded.append(argument)
        if argument == "--ray" and (position + 1 == len(arguments) or arguments[position + 1].startswith("-")):
            expanded.append("auto")
    return expanded
