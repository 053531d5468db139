"""The only training loop: phases, and in each phase stretches of steps between which the training looks at its losses."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from tlbench.clock import Clock
from tlbench.engine.candidates.steps import CandidateSteps
from tlbench.engine.data.batches import Batches
from tlbench.engine.data.inductive import NewHead
from tlbench.engine.data.inputs import Inputs
from tlbench.engine.data.passes import SplitPasses
from tlbench.engine.data.phase_batches import PhaseDraws
from tlbench.engine.data.storage import Grants, Subset
from tlbench.engine.runtime.throughput import UNSCORED
from tlbench.engine.training import ddp
from tlbench.engine.training.checkpoint import TrainingState
from tlbench.engine.training.checkpoint_contents import TrainingPlan, TrainingPosition
from tlbench.engine.training.learners import Learner, LearnerGroup, group_learners
from tlbench.engine.training.optimizer import PhaseOptimizer
from tlbench.engine.training.outcome import Outcome, trace_point
from tlbench.engine.training.shares import begin_steps, steps_of_phases
from tlbench.engine.training.step_runner import StepRunner, may_capture
from tlbench.errors import DivergedError
from tlbench.methods.base import DeepMethod, Phase
from tlbench.suite import Training
from tlbench.terms import SPLITS, Labelled, Task

LOSS_CHECK_STEPS = 100
"""The most steps between two checks that losses are finite; each check synchronises with the device."""

OnStep = Callable[[int, int], None]
"""Called with the steps done and the steps in all."""


def train(
    method: DeepMethod,
    task: Task | Grants,
    training: Training,
    inputs: Inputs,
    clock: Clock,
    seed: Callable[[str], int],
    *,
    validation: Labelled | None = None,
    trace_target: Tensor | None = None,
    on_step: OnStep | None = None,
) -> Outcome:
    """Train one method: `train_learners` with one learner.

    Args:
        method: the method; it is changed in place.
        task: the splits that it reads.
        training: steps, batch size, optimizer and schedule.
        inputs: stored samples -> network inputs.
        clock: the training is billed to `train`.
        seed: the use of a random draw -> its seed.
        validation: held-out source samples (N, ...), for the trace.
        trace_target: target samples (N, ...) whose entropy goes into the trace.
        on_step: called from time to time with the steps done and the steps in all.

    Raises:
        DivergedError: the loss is not finite.
    """
    source, target = (None if samples is None else Subset.of(samples) for samples in (validation, trace_target))
    learner = Learner(method, Grants.of(task), seed, validation=source, trace_target=target)
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
    """Run every phase of a method for its share of the steps; the method after the last step is the result.

    Args:
        learners: one, or several seeds of one case, which are then trained in one vmapped program.
        training: steps, batch size, optimizer and schedule.
        inputs: stored samples -> network inputs.
        clock: the training is billed to `train`, and compilation within it to `compile` as well; the predictions of the trace
            are `UNSCORED`; steps are timed one by one, see `Outcome.throughput`.
        on_step: called from time to time with the steps done and the steps in all.

    Raises:
        DivergedError: the loss of a single learner, or the losses of all seeds, are not finite.
        NotVmappableError: the seeds can't be trained in one program; their methods are then unusable.
    """
    with clock.measure("train"):
        group = group_learners(learners)
    return TrainingRun(group, training, inputs, clock, on_step).train()


class TrainingRun:
    """A training over all phases: losses, outcomes, trace and checkpoint, which outlive a phase."""

    def __init__(self, group: LearnerGroup, training: Training, inputs: Inputs, clock: Clock, on_step: OnStep | None) -> None:
        self.group, self.training, self.inputs, self.clock = group, training, inputs, clock
        self._on_step = on_step
        self.device = next(group.method.parameters()).device
        ddp.check_batch(training.batch)
        self._phase_steps = steps_of_phases(group.phases, training.steps, type(group.learners[0].method).__name__)
        self._total_steps = sum(self._phase_steps)
        self.losses = group.new_losses(self._total_steps, self.device)
        self._outcomes = [Outcome() for _ in group.learners]
        self.throughput = self._outcomes[0].throughput
        self.trace_steps = frozenset(round((i + 1) * self._total_steps / training.trace) for i in range(training.trace))
        self._last_trace_step = 0
        self._candidates = CandidateSteps(group, self._phase_steps, inputs, clock)
        self._new_head = NewHead(group.method, group.phases, group.learners[0].seed)
        self._checkpointer = group.checkpointer()
        self.stops = self.trace_steps | self._candidates.steps
        """The steps after which a stretch ends."""
        self._plan = TrainingPlan(
            group.method, group.phases, self._phase_steps, self.trace_steps, self._candidates.expected, training, self.losses
        )
        self._checkpoint = None if self._checkpointer is None else self._checkpointer.load(self._plan)

    def train(self) -> list[Outcome]:
        """Run all phases; the outcome of each learner."""
        start = 0
        for number, (phase, steps) in enumerate(zip(self.group.phases, self._phase_steps, strict=True)):
            self._new_head.before(number, self.clock)
            if self._checkpoint is None:
                self._candidates.before_phase(number)
            if self._checkpoint is None or number >= self._checkpoint.position.phase:
                PhaseRun(self, number, phase, start, steps).train()
            start += steps
        if self._last_trace_step != self._total_steps and self._total_steps in self.trace_steps:
            self._add_trace_points(len(self._phase_steps) - 1, self._total_steps)  # after phases without steps
        for note in self._checkpointer.notes if self._checkpointer is not None else ():
            self.note(note)
        with self.clock.measure("train"):
            self.group.update_methods()
            for learner in self.group.learners:
                learner.method.eval()
        for number, outcome in enumerate(self._outcomes):
            outcome.losses = self.group.losses_of(self.losses, number).tolist()
            outcome.throughput, outcome.notes = self.throughput, self._outcomes[0].notes
        return self._outcomes

    def note(self, text: str) -> None:
        """Add a note to the outcomes, once."""
        if text not in self._outcomes[0].notes:
            self._outcomes[0].notes.append(text)

    @property
    def first_phase_step(self) -> int:
        """The index of the first step of the phase that begins; not 0 where it resumes from a checkpoint."""
        return 0 if self._checkpoint is None else self._checkpoint.position.step

    def resume(self, optimizer: PhaseOptimizer) -> bool:
        """Restore the checkpoint, where there is one for the phase that begins; whether there was one."""
        if self._checkpointer is None or self._checkpoint is None:
            return False
        phase_steps = self._phase_steps[self._checkpoint.position.phase]
        self._last_trace_step = self._checkpointer.restore(self._checkpoint, self._state(optimizer), phase_steps)
        self._checkpoint = None
        return True

    def after_stretch(self, phase: int, phase_start: int, first: int, stop: int, optimizer: PhaseOptimizer) -> None:
        """Look at the training after the steps from `first` to `stop` of a phase: divergence, trace and checkpoint.

        Args:
            phase: index of the phase.
            phase_start: index of the phase's first step within the training.
            first: index of the stretch's first step within the phase.
            stop: one past its last step.
            optimizer: the optimizer of the phase.
        """
        steps_done = phase_start + stop
        self._check_losses(phase_start + first, steps_done)
        if self._on_step is not None:
            self._on_step(steps_done, self._total_steps)
        ends_early = steps_done == self._total_steps and phase < len(self._phase_steps) - 1
        if steps_done in self.trace_steps and not ends_early:
            self._add_trace_points(phase, steps_done)
        self._candidates.after_step(steps_done)
        if self._checkpointer is not None and not ends_early and self._checkpointer.is_due():
            position = TrainingPosition(phase=phase, step=stop, last_trace_step=self._last_trace_step)
            self._checkpointer.save(self._plan, self._state(optimizer), position)

    def _state(self, optimizer: PhaseOptimizer) -> TrainingState:
        """The state of the training for its checkpoint."""
        trace = self._outcomes[0].trace
        return TrainingState(self.group.method, optimizer, self.losses, trace, self.clock, self._candidates.blocks)

    def _check_losses(self, first: int, stop: int) -> None:
        """Check that the losses of a stretch are finite; a seed that diverges does not end the others.

        Raises:
            DivergedError: no seed is left whose losses are finite.
        """
        losses = ddp.average_over_devices(self.losses[first:stop])
        if bool(torch.isfinite(losses).all()):
            return
        for outcome, of_seed in zip(self._outcomes, losses.reshape(len(losses), -1).T, strict=True):
            if outcome.diverged is None and not bool(torch.isfinite(of_seed).all()):
                step = int((~torch.isfinite(of_seed)).nonzero()[0])
                outcome.diverged = DivergedError(
                    f"The loss is {float(of_seed[step])} at step {first + step + 1} of {self._total_steps}. "
                    "Lower train.lr or the weight of the method's own term."
                )
        if all(outcome.diverged is not None for outcome in self._outcomes):
            raise self._outcomes[0].diverged or DivergedError("The loss is not finite.")

    def _add_trace_points(self, phase: int, steps_done: int) -> None:
        self.group.update_methods()
        recent = self.losses[self._last_trace_step : steps_done]
        for number, (outcome, learner) in enumerate(zip(self._outcomes, self.group.learners, strict=True)):
            loss = float(self.group.losses_of(recent, number).mean())
            with self.clock.measure(UNSCORED, work_only=True):
                outcome.trace.append(trace_point(learner, self.inputs, phase, steps_done, loss))
        self._last_trace_step = steps_done


class PhaseRun:
    """One phase of a training: its batches, its optimizer, and its steps in stretches without interruption.

    A stretch ends where `begin` is due again, at a trace point, and after `LOSS_CHECK_STEPS` at the latest.

    Args:
        run: the training.
        number: index of the phase.
        phase: the phase.
        start: index of its first step within the training.
        steps: number of its steps.
    """

    def __init__(self, run: TrainingRun, number: int, phase: Phase, start: int, steps: int) -> None:
        self._run, self._number, self._phase, self._start, self._steps = run, number, phase, start, steps
        learners = run.group.learners
        self._subsets = {
            split: [getattr(learner.granted, split) for learner in learners] for split in SPLITS if split in phase.reads
        }
        self._passes = SplitPasses(run.group.method, learners[0].granted, run.inputs, phase, run.training.positions)
        sizes = [len(subsets[0]) for subsets in self._subsets.values()]
        self._begin_steps = begin_steps(phase, steps, run.training.batch, sizes)
        """The steps before which `begin` is called."""
        fixed = phase.begin is not None
        self._draws = PhaseDraws(learners, self._subsets, number, steps, run.training, run.device, fixed_positions=fixed)
        self._samples_per_step = run.training.batch * len(self._subsets) * len(learners)

    def train(self) -> None:
        """Run the steps of the phase."""
        with contextlib.ExitStack() as resources:
            step = self._run.first_phase_step
            with self._run.clock.measure("train"):
                batches = self._draws.batches(self._run.inputs, step)
                resources.callback(batches.close)
                optimizer = self._prepare_optimizer()
                runner = self._step_runner(batches, optimizer, step)
            timer = self._run.clock.step_timer()
            while step < self._steps:
                stop = self._next_stop(step)
                self._begin_again(step)
                with self._run.clock.measure("train"):
                    runner.run(step, stop, timer, self._count_operations)
                timer.read()
                self._run.after_stretch(self._number, self._start, step, stop, optimizer)
                step = stop
        self._run.throughput.add(timer, self._samples_per_step)

    def _prepare_optimizer(self) -> PhaseOptimizer:
        """Make the optimizer, and restore the checkpoint of the phase or call `begin`."""
        run = self._run
        on_device = may_capture(run.training.compile, run.device)
        optimizer = PhaseOptimizer(run.group.method, self._phase, run.training, on_device)
        if not run.resume(optimizer) and self._phase.begin is not None:
            self._phase.begin(self._passes)
        return optimizer

    def _step_runner(self, batches: Batches, optimizer: PhaseOptimizer, first_step: int) -> StepRunner:
        run = self._run
        method = run.group.method
        phase = ddp.data_parallel_phase(method, self._phase, optimizer, self._steps, run.note)
        losses = run.losses[self._start : self._start + self._steps]
        return StepRunner(method, phase, batches, optimizer, run.training, losses, run.clock, run.note, first_step)

    def _next_stop(self, step: int) -> int:
        """One past the last step of the stretch that begins at a step."""
        of_run = [stop - self._start for stop in self._run.stops]
        stops = [stop for stop in (*of_run, *self._begin_steps) if stop > step]
        return min([*stops, self._steps, step + LOSS_CHECK_STEPS])

    def _begin_again(self, step: int) -> None:
        """Call `begin` where another round of it is due before a step; `_prepare_optimizer` has called it before the first."""
        if self._phase.begin is not None and step in self._begin_steps and step:
            with self._run.clock.measure("train"):
                self._phase.begin(self._passes)

    def _count_operations(self) -> contextlib.AbstractContextManager[None]:
        return self._run.throughput.count_flops(self._steps, self._samples_per_step)
