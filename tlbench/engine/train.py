"""The only training loop."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from tlbench.clock import Clock
from tlbench.engine.inputs import CHUNK, Inputs, draw, in_chunks
from tlbench.engine.passes import GrantedRows, evaluating
from tlbench.engine.rates import Rates
from tlbench.engine.score import accuracy, entropy, predicted
from tlbench.engine.update import update
from tlbench.methods.base import Phase, Trained
from tlbench.suite import Training
from tlbench.terms import PARTS, Diverged, Labelled, Step, Task, TracePoint

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
    notes: list[str] = field(default_factory=list)
    """What ran otherwise than asked, and why."""


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
    budget = _budget(phases, training.steps)
    total, done, timed_samples = sum(budget), 0, 0
    losses = torch.full((total,), math.nan, device=device)
    outcome = Outcome()
    looks = {round((i + 1) * total / training.trace) for i in range(training.trace)} if training.trace else set()
    last_look = 0
    for number, (phase, steps) in enumerate(zip(phases, budget, strict=True)):
        parts = {p: getattr(task, p) for p in PARTS if p in phase.reads}
        passes = GrantedRows(method, task, inputs, phase)
        rounds = [round(k * steps / phase.rounds) for k in range(phase.rounds)] if phase.begin is not None else []
        with clock.measure("train"):
            rows = {p: draw(len(x), steps, training.batch, seed(f"batches {p} {number}"), device) for p, x in parts.items()}
            rates = Rates(method, phase, training)
            if not steps and phase.begin is not None:
                phase.begin(passes)
        step = 0
        while step < steps:
            # a stretch without a look from outside: to the end of the warm-up, the next round, watch or look
            ends = [s - done for s in looks if done + step < s <= done + steps]
            ends += [r for r in rounds if r > step]
            stop = min([*ends, steps, step + WATCH, *([WARM_UP] if step < WARM_UP < steps else [])])
            warm = step >= WARM_UP or steps <= WARM_UP
            if phase.begin is not None and step in rounds:
                with clock.measure("train"):
                    phase.begin(passes)
            with clock.measure("train"), clock.measure("steps" if warm else "warm-up"):
                for at in range(step, stop):
                    rates.set(at / steps)
                    batch = _step(parts, {p: r[at] for p, r in rows.items()}, inputs, at / steps)
                    losses[done + at] = update(phase, batch, rates)
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


def _budget(phases: Sequence[Phase], steps: int) -> list[int]:
    """Steps of each phase: together the budget times the sum of the shares; one at least, but none without a loss."""
    shares = [phase.share if phase.loss is not None else 0.0 for phase in phases]
    ends = [round(steps * sum(shares[: i + 1])) for i in range(len(shares))]
    spans = zip(phases, [0, *ends[:-1]], ends, strict=True)
    return [max(end - start, 1) if phase.loss is not None else 0 for phase, start, end in spans]


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
    right = spread = None
    with evaluating(method):
        if validation is not None:
            right = accuracy(predicted(in_chunks(method.predict, validation.x, inputs, CHUNK)), validation.y)
        if watched is not None:
            spread = entropy(in_chunks(method.predict, watched, inputs, CHUNK))
    return TracePoint(step=step, loss=float(losses.mean()), source_validation_accuracy=right, target_entropy=spread)
