"""The only training loop."""

from __future__ import annotations

import contextlib
import functools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from tlbench.clock import Clock
from tlbench.engine.data.batches import Batches
from tlbench.engine.data.inputs import CHUNK, Inputs, draw, in_chunks
from tlbench.engine.data.passes import SplitPasses, eval_mode
from tlbench.engine.data.storage import Grants, Subset
from tlbench.engine.runtime.metrics import accuracy, mean_entropy, predicted_classes
from tlbench.engine.runtime.seeds import batches_draw
from tlbench.engine.runtime.throughput import StepThroughput
from tlbench.engine.training import ddp, vmapped_seeds
from tlbench.engine.training.checkpoint import TrainingPosition, active_checkpointer
from tlbench.engine.training.optimizer import PhaseOptimizer
from tlbench.engine.training.step_runner import StepRunner, on_device
from tlbench.errors import DivergedError, NotVmappableError
from tlbench.methods.base import DeepMethod, Phase
from tlbench.suite import Training
from tlbench.terms import SPLITS, Labelled, Task, TracePoint

WATCH = 100
"""Steps between two looks at the loss; each waits for the device."""

OnStep = Callable[[int, int], None]


@dataclass
class Outcome:
    """What the loop leaves beside the trained method."""

    trace: list[TracePoint] = field(default_factory=list)
    speed: StepThroughput = field(default_factory=StepThroughput)
    """Of all seeds that were trained together."""
    losses: list[float] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    """What ran otherwise than asked, and why."""
    diverged: DivergedError | None = None
    """Of one seed among several; one that is trained alone raises it."""

    @property
    def samples_per_second(self) -> float | None:
        """Rows of all parts through the backbone, over the steps after each phase's warm-up."""
        return self.speed.samples_per_second()


@dataclass(frozen=True)
class Learner:
    """A method that is about to be trained: on its device, in its layout; it is changed in place."""

    method: DeepMethod
    granted: Grants
    """The parts that the method reads."""
    seed: Callable[[str], int]
    """Use -> seed."""
    validation: Subset | None = None
    """Source rows that were kept, for the trace."""
    watched: Subset | None = None
    """Target rows whose entropy goes into the trace; never labels."""


def train(
    method: DeepMethod,
    task: Task | Grants,
    training: Training,
    inputs: Inputs,
    clock: Clock,
    seed: Callable[[str], int],
    *,
    validation: Labelled | None = None,
    watched: Tensor | None = None,
    on_step: OnStep | None = None,
) -> Outcome:
    """Train one method: `train_all` with one learner.

    Raises:
        Diverged: the loss is not finite.
    """
    looks = [None if rows is None else Subset.of(rows) for rows in (validation, watched)]
    learner = Learner(method, Grants.of(task), seed, *looks)
    (outcome,) = train_learners([learner], training, inputs, clock, on_step=on_step)
    return outcome


def train_learners(
    learners: Sequence[Learner],
    training: Training,
    inputs: Inputs,
    clock: Clock,
    *,
    on_step: OnStep | None = None,
) -> list[Outcome]:
    """Run every phase of a method over its share of the budget; the last step counts.

    Args:
        learners: one, or several seeds of one case, which are then trained in one program.
        training: the budget.
        inputs: stored rows -> network inputs.
        clock: the training is billed to `train`, compiling in it to `compile`; its steps are timed one by one, see
            `Outcome.speed`.
        on_step: told (steps done, steps in all) now and then.

    Raises:
        Diverged: the loss is not finite (of one that is alone, or of all seeds).
        Apart: the seeds can't be trained together; their methods are then of no use any more.
    """
    methods = [learner.method for learner in learners]
    alone = len(learners) == 1
    if not alone and (reason := vmapped_seeds.why_not_vmappable(methods[0].phases())) is not None:
        raise NotVmappableError(reason)
    method = methods[0] if alone else vmapped_seeds.stack_methods(methods)
    phases = method.phases() if alone else [vmapped_seeds.vmapped_phase(phase, method) for phase in method.phases()]
    device = next(method.parameters()).device
    ddp.check(training.batch)
    budget = _budget(phases, training.steps)
    total, done = sum(budget), 0
    losses = torch.full((total,) if alone else (total, len(learners)), math.nan, device=device)
    outcomes = [Outcome() for _ in learners]
    speed, notes = outcomes[0].speed, outcomes[0].notes
    looks = {round((i + 1) * total / training.trace) for i in range(training.trace)} if training.trace else set()
    last_look = 0
    keeper = active_checkpointer.get() if alone and ddp.current_share() is None else None
    held = None if keeper is None else keeper.load(method, phases)
    for number, (phase, steps) in enumerate(zip(phases, budget, strict=True)):
        if held is not None and number < held["position"]["phase"]:
            done += steps  # the checkpoint was made after this phase
            continue
        first = 0 if held is None else held["position"]["step"]
        parts = {p: [getattr(learner.granted, p) for learner in learners] for p in SPLITS if p in phase.reads}
        passes = SplitPasses(method, learners[0].granted, inputs, phase)
        rounds = [round(k * steps / phase.rounds) for k in range(phase.rounds)] if phase.begin is not None else []
        samples = training.batch * len(parts) * len(learners)
        with contextlib.ExitStack() as stack:
            with clock.measure("train"):
                rows = {
                    p: [
                        ddp.own_columns(draw(len(part), steps, training.batch, learner.seed(batches_draw(p, number)), device))
                        for part, learner in zip(several, learners, strict=True)
                    ]
                    for p, several in parts.items()
                }
                batches = Batches(parts, rows, inputs, first)
                stack.callback(batches.close)
                rates = PhaseOptimizer(method, phase, training, on_device(training.compile, device))
                if keeper is not None and held is not None:
                    last_look = keeper.restore(held, method, rates, losses, outcomes[0].trace, clock)
                    held = None
                elif phase.begin is not None:  # the first of its rounds
                    phase.begin(passes)
                phase = ddp.data_parallel_phase(method, phase, rates, steps, lambda text: _add(notes, text))
                own = losses[done : done + steps]
                note = functools.partial(_add, notes)
                program = StepRunner(method, phase, batches, rates, training, own, clock, note, first)
            step, timed = first, clock.steps()
            while step < steps:
                # a stretch without a look from outside: to the next round, watch or look
                ends = [s - done for s in looks if done + step < s <= done + steps]
                ends += [r for r in rounds if r > step]
                stop = min([*ends, steps, step + WATCH])
                if phase.begin is not None and step in rounds and step:
                    with clock.measure("train"):
                        phase.begin(passes)
                with clock.measure("train"):
                    program.run(step, stop, timed, lambda steps=steps, samples=samples: speed.counting(steps, samples))  # type: ignore[misc]
                timed.read()
                _watch(ddp.average_over_devices(losses[done + step : done + stop]), done + step, total, outcomes)
                step = stop
                if on_step is not None:
                    on_step(done + step, total)
                if done + step in looks:
                    if not alone:
                        vmapped_seeds.unstack_methods(method, methods)
                    for at, (outcome, learner) in enumerate(zip(outcomes, learners, strict=True)):
                        recent = losses[last_look : done + step]
                        outcome.trace.append(_look(learner, inputs, done + step, recent if alone else recent[:, at]))
                    last_look = done + step
                if keeper is not None and keeper.due():
                    keeper.save(
                        method, phases, rates, TrainingPosition(number, step, last_look), losses, outcomes[0].trace, clock
                    )
        speed.add(timed, samples)
        done += steps
    for text in keeper.notes if keeper is not None else ():
        _add(notes, text)
    if not alone:
        vmapped_seeds.unstack_methods(method, methods)
    for at, (outcome, learner) in enumerate(zip(outcomes, learners, strict=True)):
        outcome.losses = (losses if alone else losses[:, at]).tolist()
        outcome.speed, outcome.notes = speed, notes
        learner.method.eval()
    return outcomes


def _budget(phases: Sequence[Phase], steps: int) -> list[int]:
    """Steps of each phase: together the budget times the sum of the shares; one at least, but none without a loss."""
    shares = [phase.share if phase.loss is not None else 0.0 for phase in phases]
    ends = [round(steps * sum(shares[: i + 1])) for i in range(len(shares))]
    spans = zip(phases, [0, *ends[:-1]], ends, strict=True)
    return [max(end - start, 1) if phase.loss is not None else 0 for phase, start, end in spans]


def _watch(recent: Tensor, first: int, total: int, outcomes: Sequence[Outcome]) -> None:
    """Look whether the losses of a stretch, (steps,) or (steps, seeds), are finite; a seed that is not leaves the others be."""
    if bool(torch.isfinite(recent).all()):
        return
    for outcome, own in zip(outcomes, recent.reshape(len(recent), -1).T, strict=True):
        if outcome.diverged is None and not bool(torch.isfinite(own).all()):
            at = int((~torch.isfinite(own)).nonzero()[0])
            outcome.diverged = DivergedError(
                f"the loss is {float(own[at])} at step {first + at + 1} of {total}; lower train.lr or the weight"
            )
    if all(outcome.diverged is not None for outcome in outcomes):
        raise outcomes[0].diverged or DivergedError("the loss is not finite")


def _look(learner: Learner, inputs: Inputs, step: int, losses: Tensor) -> TracePoint:
    """What is known now without any target label; the network is as before afterwards."""
    right = spread = None
    method, kept = learner.method, learner.validation
    with eval_mode(method):
        if kept is not None and kept.y is not None:
            right = accuracy(predicted_classes(in_chunks(method.predict, kept, inputs, CHUNK)), kept.y)
        if learner.watched is not None:
            spread = mean_entropy(in_chunks(method.predict, learner.watched, inputs, CHUNK))
    return TracePoint(step=step, loss=float(losses.mean()), source_validation_accuracy=right, target_entropy=spread)


def _add(notes: list[str], text: str) -> None:
    if text not in notes:
        notes.append(text)
