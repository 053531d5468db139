"""`tlbench bench`: throughput of every trained method on made-up data, and two saved benches against each other. No logic."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from tlbench.errors import TlbenchError, schema_errors


def bench(
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or cuda:N.")] = "auto",
    backbone: Annotated[
        str, typer.Option(help="A backbone of `tlbench list backbones`, such as torchvision:resnet50.")
    ] = "lenet",
    shape: Annotated[str, typer.Option(help="Of a row: 3x224x224, 9x128 or 256.")] = "1x28x28",
    batch: Annotated[int, typer.Option(min=2, help="Rows of each part that a step draws.")] = 128,
    method: Annotated[list[str] | None, typer.Option(help="Only this method (again for more).")] = None,
    precision: Annotated[str | None, typer.Option(help="auto, fp32, tf32 or bf16.")] = None,
    compile: Annotated[str | None, typer.Option(help="auto, off, step or graph.")] = None,
    steps: Annotated[int, typer.Option(min=1, help="Steps of each method.")] = 60,
    rows: Annotated[int, typer.Option(min=100, help="Made-up rows of each domain.")] = 4096,
    classes: Annotated[int, typer.Option(min=2)] = 10,
    out: Annotated[Path | None, typer.Option(help="Write the facts as JSON too.")] = None,
    markdown: Annotated[bool, typer.Option("--markdown", help="The table as Markdown.")] = False,
    compare: Annotated[
        tuple[Path, Path] | None, typer.Option(metavar="OLD NEW", help="Compare two saved benches instead.")
    ] = None,
    threshold: Annotated[str, typer.Option(help="With --compare: a share from which on slower counts, as 5%.")] = "5%",
) -> None:
    """Print the throughput of every trained method on a backbone, without any accuracy; or say what got slower.

    --compare takes files by --out or by pytest-benchmark, and exits with code 1 where something got slower.
    """
    if compare is not None:
        _compare(*compare, _share(threshold))
        return
    from pydantic import ValidationError

    from tlbench.bench import table, throughput
    from tlbench.engine.runtime.device import device_of
    from tlbench.suite import Training

    train = {"precision": precision, "compile": compile}
    settings = throughput.Settings(
        backbone=backbone,
        shape=throughput.parse_shape(shape),
        classes=classes,
        samples=rows,
        batch=batch,
        steps=steps,
        train=tuple((key, value) for key, value in train.items() if value is not None),
    )
    on = device_of(device)
    names = throughput.deep_methods(method or ())
    try:
        made = throughput.measure_methods(settings, names, on, lambda name, at, n: typer.echo(f"[{at}/{n}] {name}", err=True))
    except ValidationError as error:
        raise TlbenchError("\n".join(f"--{sentence}" for _, sentence in schema_errors(error, Training))) from error
    typer.echo(table.render(made, "markdown" if markdown else "text"), nl=False)
    if out is not None:
        out.parent.mkdir(parents=True, exist_ok=True)
        out.write_text(json.dumps(made, indent=1, allow_nan=False) + "\n", encoding="utf-8")
        typer.echo(f"wrote {out}", err=True)
    if any(row["status"] == "failed" for row in made["rows"]):
        raise typer.Exit(1)


def _compare(old: Path, new: Path, threshold: float) -> None:
    from tlbench.bench import compare, saved_benches

    found = compare.compare(saved_benches.read_bench(old), saved_benches.read_bench(new), threshold)
    typer.echo(compare.format_comparison(found))
    if found.slower:
        raise typer.Exit(1)


def _share(text: str) -> float:
    """`5%` or `0.05` -> 0.05."""
    number, factor = (text[:-1], 0.01) if text.endswith("%") else (text, 1.0)
    try:
        share = float(number) * factor
    except ValueError:
        share = -1.0
    if not 0 <= share < float("inf"):
        raise TlbenchError(f"--threshold {text}: write a share such as 5% or 0.05")
    return share
