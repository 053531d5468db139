"""`tlbench sweep`: search a row's options. No logic."""

from __future__ import annotations

import signal
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tlbench.cli import run
from tlbench.errors import TlbenchError
from tlbench.terms import Record

if TYPE_CHECKING:
    from tlbench.runner import RunPlan

app = typer.Typer()


@app.command()
def sweep(
    suite: Annotated[str, typer.Argument(metavar="SUITE", help="A suite file, or the name of a shipped suite.")],
    method: Annotated[str, typer.Option(help="The row whose options are searched.")],
    trials: Annotated[int, typer.Option(min=1, help="Trials in all, those of earlier calls counted.")] = 20,
    option: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME=LOW:HIGH[:log]", help="Search this range (NAME=A|B: these values) and no other option."),
    ] = None,
    rule: Annotated[str | None, typer.Option(help="What to choose by; one that the suite's protocol.selection allows.")] = None,
    pair: Annotated[list[str] | None, typer.Option(metavar="SOURCE:TARGET", help="Only this pair.")] = None,
    seed: Annotated[list[int] | None, typer.Option(help="Only this seed number.")] = None,
    out: Annotated[Path | None, typer.Option(help="Folder of the study; else out/sweeps/SUITE/ROW.")] = None,
    into: Annotated[Path | None, typer.Option(help="Write the chosen row into this suite file, as ROW_tuned.")] = None,
    workers: run.Workers = 1,
    ray: Annotated[
        str | None, typer.Option(metavar="[ADDRESS]", help="Run on a Ray cluster: auto, local or HOST:PORT.")
    ] = None,
    gpus_per_case: Annotated[float, typer.Option(min=0.0, help="With --ray: GPUs of a case, such as 0.25.")] = 0.0,
    timeout: Annotated[float | None, typer.Option(min=0.001, metavar="SECONDS", help="A longer case fails.")] = None,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or cuda:N.")] = "auto",
    data: Annotated[Path | None, typer.Option(help="Data root; else TLBENCH_DATA, else the suite's folder.")] = None,
    plugin: Annotated[list[Path] | None, typer.Option("--plugin", help="A file with a method outside the package.")] = None,
) -> None:
    """Search a row's options by a rule that sees no scored row; the same command goes on where it stopped."""
    from tlbench import api, engine, methods, progress
    from tlbench import sweep as sweeps
    from tlbench.data import resolve_data_root
    from tlbench.errors import unknown_name
    from tlbench.runner import resources
    from tlbench.runner.interrupts import StopRequest
    from tlbench.runner.worker import Limits

    for file in plugin or ():
        methods.register_file(file)
    chosen = api.load_suite(suite)
    tuned = f"{method}_tuned"
    if into is not None and tuned in api.load_suite(into).methods:
        raise TlbenchError(f"{into}: there is a row {tuned} already; rename or remove it")
    if method not in chosen.methods:
        raise TlbenchError(unknown_name(f"method entry of suite {chosen.name}", method, chosen.methods, "--method"))
    row = chosen.methods[method]
    ranges = sweeps.search_space(row.method or method, row.options, option or ())
    on, folder = engine.device_of(device), out or Path("out/sweeps") / chosen.name / method
    where = resources.Resources(workers, ray=ray, gpus_per_case=gpus_per_case, every_gpu=device in {"auto", "cuda"})
    if wrong := where.errors():
        raise TlbenchError("\n".join(wrong))
    limits = resources.share_cores(Limits(timeout_seconds=timeout), where)
    typer.echo(f"{method}: {', '.join(f'{name} in {range_}' for name, range_ in ranges.items())}", err=True)

    def tell(number: int, value: float | None, options: Mapping[str, Any]) -> None:
        said = ", ".join(f"{k} {v:.4g}" if isinstance(v, float) else f"{k} {v}" for k, v in options.items())
        typer.echo(f"trial {number}: {'failed' if value is None else f'{value:.4f}'}  {said}", err=True)

    with StopRequest(lambda text: typer.echo(text, err=True)) as stop:

        def drive(plan: RunPlan, results: Path) -> Sequence[Record]:
            pool = resources.make_pool(plan, on, limits, where)
            found = progress.show(plan, results, pool, on, limits=limits, stop=stop, style=progress.Style.quiet)
            if stop.asked:
                raise KeyboardInterrupt
            return found

        try:
            best = sweeps.run_sweep(
                chosen,
                method,
                trials,
                folder,
                resolve_data_root(data, chosen.path),
                drive,
                rule=rule,
                pairs=pair or (),
                seeds=seed or (),
                ranges=ranges,
                parallel_trials=4 if ray else workers or 4,
                on_trial=tell,
            )
        except KeyboardInterrupt:
            typer.echo("stopped; what has run is kept, and the same command goes on from there", err=True)
            raise typer.Exit(128 + (stop.signal or signal.SIGINT)) from None
    table = best.table(tuned)
    (folder / "chosen.toml").write_text(table, encoding="utf-8")
    typer.echo(table, nl=False)
    if into is not None:
        text = into.read_text(encoding="utf-8")
        into.write_text(text + ("" if text.endswith("\n") else "\n") + "\n" + table, encoding="utf-8")
        typer.echo(f"wrote the row {tuned} into {into}", err=True)
    else:
        typer.echo(f"the row is in {folder / 'chosen.toml'}; --into FILE writes it into a suite of yours", err=True)
