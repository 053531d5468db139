"""Every trained method on a backbone and a shape: one case each by the engine, on made-up data, and the device's limits."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from tlbench import clock, engine, methods
from tlbench.bench.saved_benches import KIND
from tlbench.engine.runtime import device_limits
from tlbench.engine.runtime.device import code, machine
from tlbench.errors import TlbenchError
from tlbench.methods.base import DeepMethod
from tlbench.nn import backbones
from tlbench.suite import Network, Protocol, Suite, Training
from tlbench.terms import STREAM_SPLIT, Case, Domain, Labelled

FEW = 5
"""Labelled target rows per class, for the methods that read some."""


@dataclass(frozen=True)
class Settings:
    """What is run: one row of these facts decides what two files of results may be compared by."""

    backbone: str = "lenet"
    shape: tuple[int, ...] = (1, 28, 28)
    """Of a row: channels, height, width; channels, samples; or columns."""
    classes: int = 10
    samples: int = 4096
    """Of each domain."""
    batch: int = 128
    """Rows of each part that a step draws."""
    steps: int = 60
    train: tuple[tuple[str, Any], ...] = ()
    """Further keys of a suite's `[train]`, such as ("precision", "bf16")."""

    def facts(self) -> dict[str, Any]:
        """As JSON has them."""
        own = {key: getattr(self, key) for key in ("backbone", "classes", "rows", "batch", "steps")}
        return {**own, "shape": list(self.shape), **dict(self.train)}


def parse_shape(text: str) -> tuple[int, ...]:
    """`1x28x28`, `9x128` or `256` -> the shape of a row.

    Raises:
        TlbenchError: it is none.
    """
    sides = text.lower().split("x")
    if len(sides) > 3 or not all(side.isdecimal() and int(side) > 0 for side in sides):
        raise TlbenchError(f"--shape {text}: write an image as 3x224x224, a series as 9x128, a vector as 256")
    return tuple(int(side) for side in sides)


def deep_methods(chosen: Sequence[str] = ()) -> list[str]:
    """The trained methods, or those chosen of them.

    Raises:
        TlbenchError: one that is chosen does not exist, or is solved in closed form.
    """
    names = list(chosen) or methods.method_names()
    wrong = []
    found = []
    for name in names:
        try:
            kind = methods.method_class(name)
        except TlbenchError as error:
            wrong.append(str(error))
            continue
        if issubclass(kind, DeepMethod):
            found.append(name)
        elif chosen:
            wrong.append(f"--method {name}: it is solved in closed form and takes no steps; name a trained one")
    if wrong:
        raise TlbenchError("\n".join(wrong))
    return found


def measure_methods(
    settings: Settings,
    names: Sequence[str],
    device: torch.device,
    on_method: Callable[[str, int, int], None] = lambda name, number, count: None,
) -> dict[str, Any]:
    """The facts of a bench, as JSON keeps them: settings, machine, limits, and a row with its cost for each method.

    Args:
        settings: what is run.
        names: methods.
        device: where.
        on_method: told (method, its number, how many) before each.

    Raises:
        TlbenchError: the backbone does not take rows of the shape, or a setting is none that suites have.
    """
    started = clock.utc()
    backbones.build_backbone(settings.backbone, settings.shape, {})  # or its mistake, before anything runs
    suite, domains = bench_suite(settings), bench_domains(settings)
    rows = []
    for number, name in enumerate(names, start=1):
        on_method(name, number, len(names))
        record = engine.run_case(bench_case(name), suite, domains, device, largest=True)
        rows.append(
            {
                "method": name,
                "status": record.status,
                "why": record.reason,
                "notes": list(record.notes),
                "precision": record.machine.precision,
                "cost": record.cost.model_dump(mode="json"),
            }
        )
    precisions = ("fp32", "tf32", "bf16") if device.type == "cuda" else ("fp32", "bf16")
    return {
        "kind": KIND,
        "schema": 1,
        "settings": settings.facts(),
        "machine": machine(device).model_dump(mode="json"),
        "threads": torch.get_num_threads(),
        "code": code().model_dump(mode="json"),
        "limits": {
            "flops_per_second": {precision: device_limits.peak_matmul_flops(device, precision) for precision in precisions},
            "copy_bytes_per_second": device_limits.peak_copy_bytes(device),
        },
        "rows": rows,
        "started": started,
        "finished": clock.utc(),
    }


def bench_suite(settings: Settings) -> Suite:
    """A suite of one pair, `source:target`, without files, that grants everything."""
    train = {"steps": settings.steps, "batch": settings.batch, "trace": 0, **dict(settings.train)}
    grants = {"grants": ["source", "target", STREAM_SPLIT], "target_labels": FEW, "scored": "test", "source_held_out": 0.0}
    return Suite(
        name="bench",
        version=1,
        title="",
        citation="",
        domains={},
        pairs=((("source",), "target"),),
        protocol=Protocol.model_validate(grants),
        net=Network.model_validate({"backbone": settings.backbone}),
        train=Training.model_validate(train),
        methods={},
    )


def bench_case(method: str, seed: int = 0) -> Case:
    """A case of that suite."""
    return Case(suite="bench", suite_version=1, entry=method, method=method, sources=("source",), target="target", seed=seed)


def bench_domains(settings: Settings) -> dict[str, Domain]:
    """A pattern a class under noise, so that losses fall as they do in a training."""
    source = torch.Generator().manual_seed(0)
    pattern = torch.rand((settings.classes, *settings.shape), generator=source)
    names = tuple(map(str, range(settings.classes)))

    def rows(count: int, shift: float) -> Labelled:
        y = torch.arange(count) % settings.classes
        x = (pattern[y] + torch.rand((count, *settings.shape), generator=source) + shift).clamp_(0, 2) / 2
        return Labelled((255 * x).to(torch.uint8) if x.ndim == 4 else x, y)

    made = {
        name: Domain(name, rows(settings.samples, shift), names, name) for name, shift in (("source", 0.0), ("target", 0.2))
    }
    test = rows(min(settings.samples, 1024), 0.2)
    return {**made, "target": Domain("target", made["target"].samples, names, "target", test)}
