"""Every deep method on a backbone and a shape: one case each by the engine, on made-up data, and the device's limits."""

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

LABELED_SAMPLES = 5
"""Labelled target samples per class, for the methods that read them."""


@dataclass(frozen=True)
class Settings:
    """The settings of a bench; two saved benches may be compared where they agree."""

    backbone: str = "lenet"
    shape: tuple[int, ...] = (1, 28, 28)
    """Of a sample: (channels, height, width), (channels, time) or (columns,)."""
    classes: int = 10
    samples: int = 4096
    """Synthetic samples of each domain."""
    batch: int = 128
    """Samples of each split that a step draws."""
    steps: int = 60
    train: tuple[tuple[str, Any], ...] = ()
    """Further keys of a suite's `[train]`, such as ("precision", "bf16")."""

    def facts(self) -> dict[str, Any]:
        """The settings as they stand in JSON."""
        settings = {key: getattr(self, key) for key in ("backbone", "classes", "samples", "batch", "steps")}
        return {**settings, "shape": list(self.shape), **dict(self.train)}


def parse_shape(text: str) -> tuple[int, ...]:
    """`1x28x28`, `9x128` or `256` -> the shape of a sample.

    Raises:
        TlbenchError: the text is no shape.
    """
    sides = text.lower().split("x")
    if len(sides) > 3 or not all(side.isdecimal() and int(side) > 0 for side in sides):
        raise TlbenchError(
            f"--shape {text}: This is no shape. Write an image as 3x224x224, a series as 9x128, a vector as 256."
        )
    return tuple(int(side) for side in sides)


def deep_methods(chosen: Sequence[str] = ()) -> list[str]:
    """The names of all deep methods, or the chosen ones.

    Raises:
        TlbenchError: a chosen method does not exist, or is shallow.
    """
    names = list(chosen) or methods.method_names()
    errors: list[str] = []
    deep: list[str] = []
    for name in names:
        try:
            kind = methods.method_class(name)
        except TlbenchError as error:
            errors.append(str(error))
            continue
        if issubclass(kind, DeepMethod):
            deep.append(name)
        elif chosen:
            errors.append(f"--method {name}: A shallow method takes no steps. Name a deep one.")
    if errors:
        raise TlbenchError("\n".join(errors))
    return deep


def measure_methods(
    settings: Settings,
    names: Sequence[str],
    device: torch.device,
    on_method: Callable[[str, int, int], None] = lambda name, number, count: None,
) -> dict[str, Any]:
    """Measure every method, and return the bench as it stands in JSON: settings, machine, device limits, cost of each method.

    Args:
        settings: network, samples and budget.
        names: deep methods.
        device: where they run.
        on_method: called with (method, its number from 1, number of methods) before each.

    Raises:
        TlbenchError: the backbone does not take samples of the shape, or a setting is unknown to suites.
    """
    started = clock.utc()
    backbones.build_backbone(settings.backbone, settings.shape, {})  # an error comes before anything runs
    suite, domains = bench_suite(settings), bench_domains(settings)
    measured = []
    for number, name in enumerate(names, start=1):
        on_method(name, number, len(names))
        record = engine.run_case(bench_case(name), suite, domains, device, largest=True)
        measured.append(
            {
                "method": name,
                "status": record.status,
                "reason": record.reason,
                "notes": list(record.notes),
                "precision": record.machine.precision,
                "cost": record.cost.model_dump(mode="json", by_alias=False),
            }
        )
    precisions = ("fp32", "tf32", "bf16") if device.type == "cuda" else ("fp32", "bf16")
    return {
        "kind": KIND,
        "schema": 2,
        "settings": settings.facts(),
        "machine": machine(device).model_dump(mode="json", by_alias=False),
        "threads": torch.get_num_threads(),
        "code": code().model_dump(mode="json"),
        "limits": {
            "flops_per_second": {precision: device_limits.peak_matmul_flops(device, precision) for precision in precisions},
            "copy_bytes_per_second": device_limits.peak_copy_bytes(device),
        },
        "methods": measured,
        "started": started,
        "finished": clock.utc(),
    }


def bench_suite(settings: Settings) -> Suite:
    """A suite of one pair, `source:target`, without files, which grants every split."""
    train = {"steps": settings.steps, "batch": settings.batch, "trace": 0, **dict(settings.train)}
    grants = {
        "grants": ["source", "target", STREAM_SPLIT],
        "target_labels": LABELED_SAMPLES,
        "scored": "test",
        "source_held_out": 0.0,
    }
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
    """A case of `bench_suite`."""
    return Case(suite="bench", suite_version=1, entry=method, method=method, sources=("source",), target="target", seed=seed)


def bench_domains(settings: Settings) -> dict[str, Domain]:
    """A source and a target: one pattern per class under noise, so that losses fall as they do on real data."""
    source = torch.Generator().manual_seed(0)
    pattern = torch.rand((settings.classes, *settings.shape), generator=source)
    names = tuple(map(str, range(settings.classes)))

    def samples(count: int, shift: float) -> Labelled:
        y = torch.arange(count) % settings.classes
        x = (pattern[y] + torch.rand((count, *settings.shape), generator=source) + shift).clamp_(0, 2) / 2
        return Labelled((255 * x).to(torch.uint8) if x.ndim == 4 else x, y)

    domains = {
        name: Domain(name, samples(settings.samples, shift), names, name) for name, shift in (("source", 0.0), ("target", 0.2))
    }
    test = samples(min(settings.samples, 1024), 0.2)
    return {**domains, "target": Domain("target", domains["target"].samples, names, "target", test)}
