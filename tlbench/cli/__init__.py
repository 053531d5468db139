"""The front door; no logic. Heavy rooms are imported by the commands that need them: `--help` and `list` answer at once."""

from __future__ import annotations

import sys
import tomllib
import warnings
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from tlbench import threads
from tlbench.cli import bench, data, report, reproduce, results, run, sweep
from tlbench.errors import TlbenchError

app = typer.Typer(
    name="tlbench",
    help="Benchmark transfer methods: accuracy, negative transfer and throughput, side by side.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
new = typer.Typer(help="Write a working, commented start of a method or a suite.", no_args_is_help=True)
app.add_typer(new, name="new")
app.add_typer(data.app, name="data")
app.add_typer(results.app)
app.add_typer(run.app)
app.add_typer(sweep.app)
app.command()(bench.bench)
app.command()(report.report)
app.command()(reproduce.reproduce)


class Kind(StrEnum):
    """What can be listed."""

    suites = "suites"
    methods = "methods"
    domains = "domains"
    backbones = "backbones"


Results = Annotated[Path, typer.Option("--results", help="Directory of the records: <results>/<suite>/<row>.jsonl.")]
Plugins = Annotated[list[Path] | None, typer.Option("--plugin", help="A file with a method outside the package.")]


def warn(text: str) -> None:
    """To standard error."""
    typer.echo(text, err=True)


@app.command(name="list")
def list_(
    kind: Annotated[Kind, typer.Argument(help="What to list.")],
    suite: Annotated[str | None, typer.Option(help="With domains: of this suite only.")] = None,
    plugin: Plugins = None,
) -> None:
    """List what there is."""
    from tlbench import methods
    from tlbench.nn import backbones
    from tlbench.suite import locate_suite, shipped_suites

    _plug(plugin)
    if kind is Kind.methods:
        for name in methods.method_names():
            typer.echo(f"{name:24} {methods.method_summary(name)}")
    elif kind is Kind.backbones:
        for name in [*backbones.backbone_names(), "auto"]:
            typer.echo(f"{name:24} {backbones.backbone_summary(name)}")
    elif kind is Kind.suites:
        for name, file in shipped_suites().items():
            typer.echo(f"{name:24} {_facts(file)['title']}")
    else:
        for file in [locate_suite(suite)] if suite else shipped_suites().values():
            facts = _facts(file)
            for name, table in facts["domains"].items():
                reader = table.get("reader", facts["data"].get("reader", ""))
                typer.echo(f"{facts['name']:24} {name:20} {reader}")


def _facts(file: Path) -> dict[str, Any]:
    return {"title": "", "data": {}, **tomllib.loads(file.read_text(encoding="utf-8"))}


@new.command("method")
def new_method(name: Annotated[str, typer.Argument(help="A Python identifier; becomes NAME.py here.")]) -> None:
    """Write a method that works and passes `tlbench check`."""
    _start("method.py", name, Path(f"{name}.py"))
    typer.echo(f"wrote {name}.py; next: tlbench check {name}.py, then tlbench run SUITE --plugin {name}.py")


@new.command("suite")
def new_suite(name: Annotated[str, typer.Argument(help="Becomes NAME.toml here.")]) -> None:
    """Write a suite that works."""
    _start("suite.toml", name, Path(f"{name}.toml"))
    typer.echo(f"wrote {name}.toml; next: tlbench check {name}.toml, then tlbench run {name}.toml")


def _start(start: str, name: str, path: Path) -> None:
    if not name.isidentifier() or not name.islower():
        raise TlbenchError(f"{name!r}: use lower-case letters, digits and '_' (the name is also a file's and a key's)")
    if path.exists():
        raise TlbenchError(f"{path} is there already; nothing was written")
    text = (Path(__file__).parent / "starts" / f"{start}.txt").read_text(encoding="utf-8")
    class_name = "".join(word.capitalize() for word in name.split("_"))
    path.write_text(text.replace("@NAME@", name).replace("@CLASS@", class_name), encoding="utf-8")


def _plug(files: list[Path] | None) -> None:
    from tlbench import methods

    for file in files or ():
        methods.register_file(file)


def main() -> None:
    """Console script: what the user can mend is one text on standard error and exit code 2."""
    threads.set_wait_policy()
    warnings.formatwarning = _sentence
    try:
        app(expand_optional_values(sys.argv[1:]), standalone_mode=True)
    except TlbenchError as error:
        warn(f"tlbench: {error}")
        sys.exit(2)
    except BrokenPipeError:
        sys.exit(141)


_line_of = warnings.formatwarning


def _sentence(message: Warning | str, category: type[Warning], filename: str, lineno: int, line: str | None = None) -> str:
    """What tlbench itself warns of, as a sentence; a library's warning says where it comes from."""
    own = issubclass(category, UserWarning) and Path(filename).is_relative_to(Path(__file__).parent)
    return f"warning: {message}\n" if own else _line_of(message, category, filename, lineno, line)


def expand_optional_values(given: list[str]) -> list[str]:
    """`--ray` by itself means `--ray auto`: the command line's library knows no option whose value may be left out."""
    alone = [
        word == "--ray" and (after is None or after.startswith("-"))
        for word, after in zip(given, [*given[1:], None], strict=True)
    ]
    return [part for word, add in zip(given, alone, strict=True) for part in ((word, "auto") if add else (word,))]
