"""What is done with results files once they are there: checked, joined, run again in part, drawn, and published."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tlbench.errors import TlbenchError

if TYPE_CHECKING:
    from tlbench.suite import Suite

app = typer.Typer()

Results = Annotated[Path, typer.Option("--results", help="Directory of the records: <results>/<suite>/<row>.jsonl.")]
Plugins = Annotated[list[Path] | None, typer.Option("--plugin", help="A file with a method outside the package.")]
OfSuite = Annotated[
    str | None, typer.Option("--suite", help="The suite file of results; else the shipped one of their folder's name.")
]
File = Annotated[Path, typer.Argument(metavar="RESULTS/SUITE/ROW.jsonl", help="A results file.")]


@app.command()
def check(
    paths: Annotated[
        list[Path],
        typer.Argument(metavar="FILE...", help="Suites (.toml), methods (.py) and results files (.jsonl).", show_default=False),
    ],
    suite: OfSuite = None,
    plugin: Plugins = None,
) -> None:
    """Hold files of yours to the promises that the shipped ones keep."""
    _plug(plugin)
    wrong = []
    for path in paths:
        try:
            kept = _kept(path, suite)
        except TlbenchError as error:
            wrong.append(str(error))
            continue
        if len(paths) > 1:
            typer.echo(path)
        for sentence in kept:
            typer.echo(f"ok  {sentence}")
    if wrong:
        raise TlbenchError("\n".join(wrong))


def _kept(path: Path, suite: str | None) -> list[str]:
    """The promises that a file keeps, a sentence each."""
    if not path.is_file():
        raise TlbenchError(f"no file {path}; give a suite (.toml), a method (.py) or a results file (.jsonl)")
    if path.suffix not in {".toml", ".py", ".jsonl"}:
        raise TlbenchError(f"{path}: give a suite (.toml), a method (.py) or a results file (.jsonl)")
    from tlbench import api, checks, methods

    if path.suffix == ".toml":
        return checks.check_suite(api.load_suite(str(path)))
    if path.suffix == ".py":
        shipped = [name for name, file in methods.method_files().items() if file == path.resolve()]
        name = shipped[0] if shipped else methods.register_file(path)
        kept = checks.check_method(name)
        for line in checks.host_syncs(name):
            typer.echo(f"note: a step reads a value at {line}; a GPU's program waits there, and makes no graph", err=True)
        return kept
    if (of := _suite_of(path, suite)) is not None:
        return checks.check_contribution(path, of)
    name = path.absolute().parent.name
    typer.echo(
        f"no suite {name!r} ships; held to no suite: pairs, seeds, hash and options go unchecked without --suite FILE", err=True
    )
    return checks.check_results(path)


@app.command()
def merge(
    folders: Annotated[list[Path], typer.Argument(metavar="DIR...", help="Results directories.")],
    out: Annotated[Path, typer.Option(help="Results directory to write to; what is in it stays.")],
) -> None:
    """Join results directories: nothing is overwritten; of two differing records of one case both are kept and shown."""
    from tlbench.records import merge as merging

    merged = merging.merge(folders, out)
    typer.echo(f"{merged.written} records written to {out}, {merged.known} were there already")
    for conflict in merged.conflicts:
        typer.echo(f"conflict: {conflict}", err=True)
    if merged.conflicts:
        typer.echo(
            f"{len(merged.conflicts)} conflicts: both records are kept, and the tables count the one finished last", err=True
        )
        raise typer.Exit(1)


@app.command()
def verify(
    file: File,
    sample: Annotated[int, typer.Option(min=1, help="How many cases to run again.")] = 3,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or cuda:N.")] = "auto",
    data: Annotated[Path | None, typer.Option(help="Data root; else TLBENCH_DATA, else the suite's folder.")] = None,
    suite: OfSuite = None,
    plugin: Plugins = None,
) -> None:
    """Run a sample of a results file's cases again here: same, within noise or different, and is the machine the same?"""
    _plug(plugin)
    from tlbench import engine
    from tlbench.checks import rerun
    from tlbench.data import root_of
    from tlbench.terms import METRICS

    if not file.is_file():
        raise TlbenchError(f"no results file {file}")
    of = _suite_of(file, suite)
    if of is None:
        raise TlbenchError(f"{file}: no suite {file.absolute().parent.name!r} ships; name its file with --suite FILE")
    compared = []
    for one in rerun.verify(file, of, root_of(data, of.path), engine.device_of(device), sample):
        metric = METRICS[one.filed.metric]
        filed, here = (_value(value, metric.factor) for value in one.values)
        case = f"{one.filed.entry} {one.filed.pair} seed {one.filed.seed}"
        noise = f"(noise: {metric.factor * one.noise:.2f})" if one.verdict != "same" else ""
        typer.echo(f"{one.verdict:12}  {case}: {metric.title} on file {filed}, here {here} {noise}".rstrip())
        if one.here.status != "done":
            typer.echo(f"{'':12}  here it {one.here.status}: {one.here.reason}")
        compared.append(one)
    if not compared[0].machine:
        typer.echo("the machine is the same in all that is recorded of it")
    for name, (filed_is, here_is) in compared[0].machine.items():
        typer.echo(f"another machine: {name} on file {filed_is}, here {here_is}")
    typer.echo(rerun.RULE)
    if different := sum(one.verdict == "different" for one in compared):
        typer.echo(f"{different} of {len(compared)} cases come out different here", err=True)
        raise typer.Exit(1)


@app.command()
def pictures(
    suites: Annotated[list[str] | None, typer.Argument(metavar="[SUITE...]", help="Names; all on file without any.")] = None,
    results: Results = Path("results"),
    out: Annotated[Path, typer.Option(help="Directory to write to.")] = Path("out/pictures"),
) -> None:
    """Draw the pictures of a results directory as PNG and SVG: deltas, accuracy and cost, ranks, ladders, training curves."""
    from tlbench import plots, records

    found = records.read_all(results, tuple(Path(name).stem for name in suites or ()))
    if not found:
        raise TlbenchError(f"{results}: no such records; `tlbench run SUITE --results {results}` writes some")
    for path in plots.draw_plots(found, out):
        typer.echo(f"wrote {path}")


@app.command()
def site(
    results: Results = Path("results"),
    out: Annotated[Path, typer.Option(help="Directory to write to.")] = Path("out/site"),
    markdown: Annotated[Path | None, typer.Option(help="Write the leaderboard in Markdown to this file instead.")] = None,
) -> None:
    """Write a results directory as a static site: pages of suites, methods and records, for a file system or any host."""
    from tlbench import methods, records
    from tlbench.site import build_site, leaderboard_markdown

    found = records.read_all(results)
    if not found:
        raise TlbenchError(f"{results}: no records; `tlbench run SUITE --results {results}` writes some")
    if markdown is not None:
        markdown.write_text(leaderboard_markdown(found), encoding="utf-8")
        typer.echo(f"wrote {markdown}")
    else:
        typer.echo(f"wrote {build_site(found, out, results, methods.method_files())}")


def _suite_of(file: Path, given: str | None) -> Suite | None:
    """The suite of a results file: the one that is named, else the shipped one of its folder's name."""
    from tlbench import api
    from tlbench.suite import shipped_suites

    name = given or file.absolute().parent.name
    return api.load_suite(name) if given or name in shipped_suites() else None


def _plug(files: list[Path] | None) -> None:
    from tlbench import methods

    for file in files or ():
        methods.register_file(file)


def _value(value: float | None, factor: float) -> str:
    return "none" if value is None else f"{factor * value:.2f}"
