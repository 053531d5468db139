"""The front door; no logic. Heavy rooms are imported by the commands that need them: `--help` and `list` answer at once."""

from __future__ import annotations

import shutil
import sys
import tomllib
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tlbench import cli_data, threads
from tlbench.terms import TlbenchError

if TYPE_CHECKING:
    from tlbench.runner import Plan
    from tlbench.suite import Suite

app = typer.Typer(
    name="tlbench",
    help="Benchmark transfer methods: accuracy, negative transfer and throughput, side by side.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
new = typer.Typer(help="Write a working, commented start of a method or a suite.", no_args_is_help=True)
app.add_typer(new, name="new")
app.add_typer(cli_data.app, name="data")


class Kind(StrEnum):
    """What can be listed."""

    suites = "suites"
    methods = "methods"
    domains = "domains"
    trunks = "trunks"


class Which(StrEnum):
    """Which table."""

    accuracy = "accuracy"
    transfer = "transfer"
    throughput = "throughput"
    all = "all"


class Format(StrEnum):
    """How tables are written."""

    text = "text"
    markdown = "markdown"
    latex = "latex"
    csv = "csv"
    json = "json"


Results = Annotated[Path, typer.Option("--results", help="Directory of the records: <results>/<suite>/<row>.jsonl.")]
Plugins = Annotated[list[Path] | None, typer.Option("--plugin", help="A file with a method outside the package.")]


def warn(text: str) -> None:
    """To standard error."""
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
    plugin: Plugins = None,
    tables: Annotated[bool, typer.Option(help="Print the tables at the end.")] = True,
) -> None:
    """Run suites: what is on file already is not run again."""
    _plug(plugin)
    loaded = _suites(suites)
    from tlbench import engine, progress, records, reports, runner
    from tlbench.data import root_of
    from tlbench.runner import local

    on = engine.device_of(device)
    plans, wrong, failed = [], [], 0
    for suite in loaded:  # all of them before the first case: the third suite's missing file is said now, not tonight
        try:
            if not plan or (results / suite.name).is_dir():
                records.prepare(results, suite.name, warn)
            where = root_of(data, suite.path)
            only = (method or (), pair or (), seed or ())
            plans.append(runner.plan(suite, results, where, rows=only[0], pairs=only[1], seeds=only[2], fresh=fresh))
        except TlbenchError as error:
            wrong.append(str(error))
    if wrong:
        raise TlbenchError("\n".join(dict.fromkeys(wrong)))
    for todo in plans:
        if plan:
            _print_plan(todo, runner.estimate(todo.todo, [*todo.earlier, *local.probe(todo, on)]))
            continue
        try:
            ended = progress.show(todo, results, on)
        except KeyboardInterrupt:
            warn("stopped; every finished case is on file, and the same command goes on from there")
            raise typer.Exit(130) from None
        failed += sum(record.status == "failed" for record in ended)
        if tables:
            for_tables = [*todo.kept, *ended]
            typer.echo(reports.render(reports.tables(reports.frame(for_tables), "all"), "text", width=_width()))
    if failed:
        warn(f"{failed} failed; `why` in their records says what happened, and the same command tries them again")
        raise typer.Exit(1)


@app.command()
def report(
    suites: Annotated[list[str] | None, typer.Argument(metavar="[SUITE...]", help="Names; all on file without any.")] = None,
    results: Results = Path("results"),
    table: Annotated[Which, typer.Option(help="Which table.")] = Which.all,
    format: Annotated[Format, typer.Option(help="How to write it.")] = Format.text,
) -> None:
    """Print the tables of a results directory."""
    from tlbench import records, reports

    names = tuple(Path(name).stem for name in suites or ())
    if not results.is_dir():
        raise TlbenchError(f"no results directory {results}; `tlbench run SUITE --results {results}` makes one")
    if missing := [name for name in names if not (results / name).is_dir()]:
        there = ", ".join(sorted(p.name for p in results.iterdir() if p.is_dir())) or "none"
        raise TlbenchError(f"{results}: no records of {', '.join(missing)}; there are those of {there}")
    found = records.read_all(results, names)
    if not found:
        raise TlbenchError(f"{results}: no records yet; `tlbench run SUITE --results {results}` writes some")
    made = reports.tables(reports.frame(found), table.value)
    typer.echo(reports.render(made, format.value, width=_width() if format is Format.text else None).rstrip("\n"))


@app.command()
def site(
    results: Results = Path("results"),
    out: Annotated[Path, typer.Option(help="Directory to write to.")] = Path("out/site"),
) -> None:
    """Write the tables of a results directory as a page."""
    from tlbench import records, reports
    from tlbench.site import build

    found = records.read_all(results)
    if not found:
        raise TlbenchError(f"{results}: no records; `tlbench run SUITE --results {results}` writes some")
    typer.echo(f"wrote {build(reports.frame(found), out)}")


@app.command(name="list")
def list_(
    kind: Annotated[Kind, typer.Argument(help="What to list.")],
    suite: Annotated[str | None, typer.Option(help="With domains: of this suite only.")] = None,
    plugin: Plugins = None,
) -> None:
    """List what there is."""
    from tlbench import methods
    from tlbench.nn import trunks
    from tlbench.suite import locate, shipped

    _plug(plugin)
    if kind is Kind.methods:
        for name in methods.names():
            typer.echo(f"{name:24} {methods.summary(name)}")
    elif kind is Kind.trunks:
        for name in [*trunks.names(), "auto"]:
            typer.echo(f"{name:24} {trunks.summary(name)}")
    elif kind is Kind.suites:
        for name, file in shipped().items():
            typer.echo(f"{name:24} {_facts(file)['title']}")
    else:
        for file in [locate(suite)] if suite else shipped().values():
            facts = _facts(file)
            for name, table in facts["domains"].items():
                reader = table.get("reader", facts["data"].get("reader", ""))
                typer.echo(f"{facts['name']:24} {name:20} {reader}")


def _facts(file: Path) -> dict[str, Any]:
    return {"title": "", "data": {}, **tomllib.loads(file.read_text(encoding="utf-8"))}


@app.command()
def check(
    path: Annotated[Path, typer.Argument(help="A suite (.toml), a method (.py) or a results file (.jsonl).")],
    plugin: Plugins = None,
) -> None:
    """Hold a file of yours to the promises that the shipped ones keep."""
    _plug(plugin)
    if not path.is_file():
        raise TlbenchError(f"no file {path}; give a suite (.toml), a method (.py) or a results file (.jsonl)")
    if path.suffix not in {".toml", ".py", ".jsonl"}:
        raise TlbenchError(f"{path}: give a suite (.toml), a method (.py) or a results file (.jsonl)")
    from tlbench import checks, methods

    if path.suffix == ".toml":
        kept = checks.suite(_suites([str(path)])[0])
    elif path.suffix == ".jsonl":
        kept = checks.results(path)
    else:
        shipped = [name for name, file in methods.files().items() if file == path.resolve()]
        kept = checks.method(shipped[0] if shipped else methods.plug(path))
    for sentence in kept:
        typer.echo(f"ok  {sentence}")


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
        methods.plug(file)


def _suites(names: list[str]) -> list[Suite]:
    """All suites, or all their mistakes."""
    from tlbench import api

    loaded, wrong = [], []
    for name in names:
        try:
            loaded.append(api.load(name))
        except TlbenchError as error:
            wrong.append(str(error))
    if wrong:
        raise TlbenchError("\n".join(wrong))
    return loaded


def _print_plan(todo: Plan, estimate: tuple[float, int]) -> None:
    seconds, blind = estimate
    typer.echo(f"{todo.suite.name}: {len(todo.todo)} cases to run, {len(todo.kept)} on file")
    rows = {row: [case for case in todo.todo if case.row == row] for row in todo.suite.methods}
    for row, cases in rows.items():
        if cases:
            pairs = dict.fromkeys(case.pair for case in cases)
            typer.echo(f"  {row:24} {len(cases):5} cases  {', '.join(pairs)}")
    if todo.todo:
        rest = f"; {blind} cases could not be estimated (they are solved, not trained)" if blind else ""
        typer.echo(f"about {cli_data.duration(seconds)} here{rest}")


def _width() -> int | None:
    return shutil.get_terminal_size().columns if sys.stdout.isatty() else None


def main() -> None:
    """Console script: what the user can mend is one text on standard error and exit code 2."""
    threads.settle()
    try:
        app(standalone_mode=True)
    except TlbenchError as error:
        warn(f"tlbench: {error}")
        sys.exit(2)
    except BrokenPipeError:
        sys.exit(141)
