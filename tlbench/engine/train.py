"""The only training loop."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from tlbench.clock import Clock
from tlbench.engine.inputs import Inputs, draw, in_chunks
from tlbench.engine.score import accuracy, entropy, predicted
from tlbench.methods.base import Group, Phase, Trained
from tlbench.suite import Training
from tlbench.terms import PARTS, Diverged, Labelled, Step, Task, TlbenchError, TracePoint

CHUNK = 512
"""Rows of a forward outside the steps."""
WARM_UP = 10
"""Steps at the start of each phase that the throughput leaves out."""
WATCH = 100
"""Steps between two looks at the loss; each waits for the device."""

OnStep = Callable[[int, int], None]


@dataclass
class Outcome:
    """What the loop leaves beside the trained method."""

    trace: list[TracePoint] = field(default_factory=list)
    samples_per_second: float | None = None
    losses: list[float] = field(default_factory=list)


class _Rows:
    """`Rows` of methods/base.py."""

    def __init__(self, method: Trained, task: Task, inputs: Inputs) -> None:
        self._method, self._task, self._inputs = method, task, inputs

    def map(self, part: str, function: Callable[[Tensor], Tensor]) -> Tensor:
        rows = getattr(self._task, part)
        if rows is None:
            raise TlbenchError(f"{type(self._method).__name__} asks for {part!r}, which its `reads` does not name")
        modes = [(module, module.training) for module in self._method.modules()]
        self._method.eval()
        mapped = in_chunks(function, rows.x if isinstance(rows, Labelled) else rows, self._inputs, CHUNK)
        for module, training in modes:
            module.training = training
        return mapped

    def labels(self, part: str) -> Tensor:
        rows = getattr(self._task, part)
        if not isinstance(rows, Labelled):
            raise TlbenchError(f"{type(self._method).__name__} asks for the labels of {part!r}, which it does not have")
        return rows.y


def train(
    method: Trained,
    task: Task,
    training: Training,
    inputs: Inputs,
    clock: Clock,
    seed: Callable[[str], int],
    *,
    validation: Labelled | None = None,
    watched: Tensor | None = None,
    on_step: OnStep | None = None,
) -> Outcome:
    """Run every phase of a method over its share of the budget; the last step counts.

    Args:
        method: on its device, in its layout; it is changed in place.
        task: the parts that the method reads, on the device.
        training: the budget.
        inputs: stored rows -> network inputs.
        clock: the training is billed to `train`, its steps after each warm-up to `steps`.
        seed: use -> seed.
        validation: source rows that were kept, for the trace.
        watched: target inputs (N, ...) whose entropy goes into the trace; never labels.
        on_step: told (steps done, steps in all) now and then.

    Raises:
        Diverged: the loss is not finite.
    """
    phases = method.phases()
    device = next(method.parameters()).device
    budget = _budget([phase.share for phase in phases], training.steps)
    total, done, timed_samples = sum(budget), 0, 0
    losses = torch.full((total,), math.nan, device=device)
    outcome = Outcome()
    looks = {round((i + 1) * total / training.trace) for i in range(training.trace)} if training.trace else set()
    last_look = 0
    for number, (phase, steps) in enumerate(zip(phases, budget, strict=True)):
        parts = {p: getattr(task, p) for p in PARTS if p in phase.reads}
        with clock.measure("train"):
            if phase.begin is not None:
                phase.begin(_Rows(method, task, inputs))
            rows = {p: draw(len(x), steps, training.batch, seed(f"batches {p} {number}"), device) for p, x in parts.items()}
            rates = Rates(method, phase, training)
        step = 0
        while step < steps:
            # a stretch without a look from outside: up to the end of the warm-up, the next watch or the next look
            ends = [s - done for s in looks if done + step < s <= done + steps]
            stop = min([*ends, steps, step + WATCH, *([WARM_UP] if step < WARM_UP < steps else [])])
            warm = step >= WARM_UP or steps <= WARM_UP
            with clock.measure("train"), clock.measure("steps" if warm else "warm-up"):
                for at in range(step, stop):
                    rates.set(at / steps)
                    batch = _step(parts, {p: r[at] for p, r in rows.items()}, inputs, at / steps)
                    loss = phase.loss(batch)
                    rates.optimiser.zero_grad(set_to_none=True)
                    loss.backward()
                    rates.optimiser.step()
                    losses[done + at] = loss.detach()
            timed_samples += (stop - step) * training.batch * len(parts) if warm else 0
            recent = losses[done + step : done + stop]
            if not bool(torch.isfinite(recent).all()):
                first = done + step + int((~torch.isfinite(recent)).nonzero()[0])
                raise Diverged(
                    f"the loss is {float(losses[first])} at step {first + 1} of {total}; lower train.lr or the weight"
                )
            step = stop
            if on_step is not None:
                on_step(done + step, total)
            if done + step in looks:
                outcome.trace.append(_look(method, inputs, done + step, losses[last_look : done + step], validation, watched))
                last_look = done + step
        done += steps
    outcome.losses = losses.tolist()
    if clock.seconds.get("steps"):
        outcome.samples_per_second = timed_samples / clock.seconds["steps"]
    method.eval()
    return outcome


class Rates:
    """The optimiser of a phase, and what learns how fast at each moment of it."""

    def __init__(self, method: Trained, phase: Phase, training: Training) -> None:
        self._schedule, self._lr = training.schedule, training.lr
        self._groups = phase.groups or (Group((method,)),)
        self._frozen: dict[int, bool] = {}
        method.train()
        for parameter in method.parameters():
            parameter.requires_grad_(False)
        held = [[p for module in group.modules for p in module.parameters()] for group in self._groups]
        self.optimiser = make_optimiser([{"params": p} for p in held if p], training)
        self._groups = tuple(group for group, p in zip(self._groups, held, strict=True) if p)
        for module in {m for group in self._groups for m in group.modules}:
            module.requires_grad_(True)
        self._constant = training.schedule == "constant" and not any(callable(g.scale) for g in self._groups)
        self._started = False

    def set(self, progress: float) -> None:
        """Learning rates at a progress in [0, 1]; groups at scale 0 are frozen."""
        if self._constant and self._started:
            return
        self._started = True
        lr = (
            self._lr
            * {
                "constant": 1.0,
                "cosine": 0.5 * (1 + math.cos(math.pi * progress)),
                "inverse": (1 + 10 * progress) ** -0.75,
            }[self._schedule]
        )
        for index, (group, held) in enumerate(zip(self._groups, self.optimiser.param_groups, strict=True)):
            scale = group.scale(progress) if callable(group.scale) else group.scale
            held["lr"] = lr * scale
            if self._frozen.get(index) != (scale == 0):
                self._frozen[index] = scale == 0
                for module in group.modules:
                    module.requires_grad_(scale != 0)
                    module.train(scale != 0)


def make_optimiser(groups: list[dict[str, list[nn.Parameter]]], training: Training) -> torch.optim.Optimizer:
    """The suite's optimiser, in torch's fused form."""
    if training.optimiser == "sgd":
        return torch.optim.SGD(
            groups,
            lr=training.lr,
            momentum=training.momentum,
            nesterov=training.momentum > 0,
            weight_decay=training.weight_decay,
            fused=True,
        )
    kind = torch.optim.Adam if training.optimiser == "adam" else torch.optim.AdamW
    return kind(groups, lr=training.lr, weight_decay=training.weight_decay, fused=True)


def _budget(shares: list[float], steps: int) -> list[int]:
    """Steps of each phase: they add up to the budget times the sum of the shares, and none has fewer than one."""
    ends = [round(steps * sum(shares[: i + 1])) for i in range(len(shares))]
    return [max(end - start, 1) for start, end in zip([0, *ends[:-1]], ends, strict=True)]


def _step(parts: Mapping[str, Labelled | Tensor], rows: dict[str, Tensor], inputs: Inputs, progress: float) -> Step:
    drawn: dict[str, Labelled | Tensor] = {}
    for name, part in parts.items():
        batch = part[rows[name]]
        drawn[name] = Labelled(inputs(batch.x), batch.y, batch.domain) if isinstance(batch, Labelled) else inputs(batch)
    return Step(**drawn, rows=rows, progress=progress)  # type: ignore[arg-type]


def _look(
    method: Trained, inputs: Inputs, step: int, losses: Tensor, validation: Labelled | None, watched: Tensor | None
) -> TracePoint:
    """What is known now without any target label; the network is as before afterwards."""
    modes = [(module, module.training) for module in method.modules()]
    method.eval()
    right = spread = None
    if validation is not None:
        right = accuracy(predicted(in_chunks(method.predict, validation.x, inputs, CHUNK)), validation.y)
    if watched is not None:
        spread = entropy(in_chunks(method.predict, watched, inputs, CHUNK))
    for module, training in modes:
        module.training = training
    return TracePoint(step=step, loss=float(losses.mean()), source_validation_accuracy=right, target_entropy=spread)
