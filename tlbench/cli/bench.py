"""`tlbench bench`: the throughput of every deep method on generated data, and two saved benches compared."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tlbench.cli import console, options
from tlbench.errors import TlbenchError, schema_errors

if TYPE_CHECKING:
    from tlbench.bench.throughput import Settings


def bench(
    device: options.Device = "auto",
    backbone: Annotated[
        str, typer.Option(help="Backbone of `tlbench list backbones`, such as torchvision:resnet50.")
    ] = "lenet",
    shape: Annotated[str, typer.Option(help="Shape of a sample: 3x224x224, 9x128 or 256.")] = "1x28x28",
    batch: Annotated[int, typer.Option(min=2, help="Batch size of each split.")] = 128,
    method: Annotated[list[str] | None, typer.Option(metavar="NAME", help="Only this method (repeat for more).")] = None,
    precision: Annotated[str | None, typer.Option(help="auto, fp32, tf32 or bf16.")] = None,
    compile: Annotated[str | None, typer.Option(help="auto, off, step or graph.")] = None,
    steps: Annotated[int, typer.Option(min=1, help="Training steps of each method.")] = 60,
    samples: Annotated[int, typer.Option(min=100, help="Generated samples of each domain.")] = 4096,
    classes: Annotated[int, typer.Option(min=2, help="Number of classes.")] = 10,
    out: Annotated[Path | None, typer.Option(metavar="FILE", help="Write the measurements to this file as JSON.")] = None,
    markdown: options.Markdown = False,
    compare: Annotated[
        tuple[Path, Path] | None, typer.Option(metavar="OLD NEW", help="Compare two saved benches instead.")
    ] = None,
    threshold: Annotated[str, typer.Option(help="With --compare: relative slowdown that counts, such as 5%.")] = "5%",
) -> None:
    """Measure the throughput of every deep method, or compare two saved benches.

    --compare takes files written by --out or by pytest-benchmark, and exits with code 1 where something got slower.
    """
    if compare is not None:
        _compare(*compare, _fraction(threshold))
        return
    from tlbench.bench import throughput

    train = {"precision": precision, "compile": compile}
    settings = throughput.Settings(
        backbone=backbone,
        shape=throughput.parse_shape(shape),
        classes=classes,
        samples=samples,
        batch=batch,
        steps=steps,
        train=tuple((key, value) for key, value in train.items() if value is not None),
    )
    _measure(settings, device, method or [], out, "markdown" if markdown else "text")


def _measure(settings: Settings, device: str, names: list[str], out: Path | None, format: str) -> None:
    """Measure, print the table, and write the measurements."""
    from pydantic import ValidationError

    from tlbench.bench import table, throughput
    from tlbench.engine import device_of
    from tlbench.suite import Training

    def announce(name: str, number: int, count: int) -> None:
        console.warn(f"[{number}/{count}] {name}")

    on, selected = device_of(device), throughput.deep_methods(names)
    try:
        measurements = throughput.measure_methods(settings, selected, on, announce)
    except ValidationError as error:
        raise TlbenchError("\n".join(f"--{sentence}" for _, sentence in schema_errors(error, Training))) from error
    typer.echo(table.render(measurements, format), nl=False)
    if out is not None:
        out.parent.mkdir(parents=True, exist_ok=True)
        out.write_text(json.dumps(measurements, indent=1, allow_nan=False) + "\n", encoding="utf-8")
        console.warn(f"wrote {out}")
    if any(measurement["status"] == "failed" for measurement in measurements["methods"]):
        raise typer.Exit(1)


def _compare(old: Path, new: Path, threshold: float) -> None:
    """Print what got slower; exit code 1 where something did."""
    from tlbench.bench import compare, saved_benches

    comparison = compare.compare(saved_benches.read_bench(old), saved_benches.read_bench(new), threshold)
    console.echo(compare.format_comparison(comparison))
    if comparison.slower:
        raise typer.Exit(1)


def _fraction(text: str) -> float:
    """`5%` or `0.05` -> 0.05.

    Raises:
        TlbenchError: it is neither.
    """
    number, factor = (text[:-1], 0.01) if text.endswith("%") else (text, 1.0)
    try:
        fraction = float(number) * factor
    except ValueError:
        fraction = -1.0
    if not 0 <= fraction < float("inf"):
        raise TlbenchError(f"--threshold {text} is no fraction. Write it as 5% or 0.05.")
    return fraction
