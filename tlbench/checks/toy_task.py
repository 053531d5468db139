"""A small task with a shift, on which promises are tried."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from tlbench import clock, engine
from tlbench.errors import NotApplicableError
from tlbench.suite import Network, Protocol, Suite, Training
from tlbench.terms import STREAM_SPLIT, Case, Labelled, Task

STEPS = 100
CPU = torch.device("cpu")
CLASSES = 3


def toy_samples(part: int, rows: int = 120, shift: float = 0.0) -> Labelled:
    """Three well separated classes in six columns; `shift` moves them all."""
    source = torch.Generator().manual_seed(part)
    y = torch.arange(rows) % CLASSES
    centres = 2.5 * torch.eye(CLASSES, 6)
    x = centres[y] + 0.5 * torch.randn(rows, 6, generator=source) + shift
    return Labelled(x, y, torch.zeros_like(y))


def toy_task(swapped: str | None = None) -> Task:
    """All parts granted; the swapped one holds other rows, and other labels where it has any."""

    def other(name: str, rows: Labelled) -> Labelled:
        if name != swapped:
            return rows
        return Labelled(rows.x.flip(1) * 1.5 + 0.3, (rows.y + 1) % CLASSES, rows.domain)

    return Task(
        CLASSES,
        other("source", toy_samples(1)),
        other("target", toy_samples(2, shift=0.7)).x,
        other("target_labeled", toy_samples(3, 15, shift=0.7)),
    )


def toy_regression(part: int, rows: int = 120, shift: float = 0.0) -> Labelled:
    """Two target columns, linear in six columns, with a little noise; `shift` moves the inputs."""
    source = torch.Generator().manual_seed(part)
    x = torch.randn(rows, 6, generator=source)
    weights = torch.tensor([[2.0, -1.0, 0.5, 0.0, 0.0, 0.0], [0.0, 0.0, 1.0, 1.0, -2.0, 0.0]])
    y = 10 * x @ weights.T + 50 + 0.5 * torch.randn(rows, 2, generator=source)
    return Labelled(x + shift, y, torch.zeros(rows, dtype=torch.int64))


def toy_suite(steps: int = STEPS, batch_norm: bool = False, task: str = "classification") -> Suite:
    """A suite without files for the toy task."""
    protocol = {"grants": ["source", "target", STREAM_SPLIT], "scored": "test", "target_labels": 5, "source_held_out": 0.0}
    return Suite(
        name="toy",
        version=1,
        title="",
        citation="",
        domains={},
        pairs=((("a",), "b"),),
        protocol=Protocol.model_validate({**protocol, "task": task}),
        net=Network.model_validate({"backbone": "mlp", "hidden": [32, 16], "batch_norm": batch_norm}),
        train=Training(steps=steps, batch=32, lr=1e-2),
        methods={},
    )


def outcome(name: str, task: Task, options: Mapping[str, Any] | None = None, steps: int = STEPS) -> Tensor:
    """Class scores (N, C) of a method on fixed rows after its training on a task."""
    return scores(fit(name, task, options, steps), toy_samples(4, 90, shift=0.7).x)


def scores(fitted: engine.FittedMethod, x: Tensor) -> Tensor:
    """Class scores of rows x (N, D), those that learn on the stream 32 at a time."""
    return engine.predict_scored(fitted, x, 32, 0, clock.Clock(CPU))


def stream_scores(name: str, shift: float) -> Tensor:
    """Scores of fixed rows whose fellows on the stream are moved by `shift`."""
    fixed, others = toy_samples(4, 90, shift=0.7).x, toy_samples(6, 90, shift=shift).x
    return scores(fit(name, toy_task()), torch.cat([others, fixed]))[90:]


def fit(name: str, task: Task, options: Mapping[str, Any] | None = None, steps: int = STEPS) -> engine.FittedMethod:
    """Train or solve a method on a task; on a backbone with batch normalisation if it does not apply to one without."""
    case = Case(
        suite="toy",
        suite_version=1,
        entry=name,
        method=name,
        options=dict(options or {}),
        sources=("a",),
        target="b",
        seed=0,
    )

    def seed(use: str) -> int:
        return sum(use.encode())

    kind = "regression" if task.regression else "classification"
    try:
        return engine.fit(case, toy_suite(steps, task=kind), task, clock.Clock(CPU), seed, CPU)
    except NotApplicableError:  # some methods are about batch normalisation
        return engine.fit(case, toy_suite(steps, batch_norm=True, task=kind), task, clock.Clock(CPU), seed, CPU)
