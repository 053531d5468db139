"""How the steps of a phase run: eagerly, with a compiled loss, or captured as a CUDA graph and replayed.

The first steps always run eagerly; they are steps of the training like the others. Then the loss may be compiled by
`torch.compile`, and the whole step captured as a CUDA graph, which the device replays without the host. Where that is
impossible or does not pay, the steps go on eagerly, and the record notes the reason.
"""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor

from tlbench.clock import Clock, StepTimer
from tlbench.engine.data.batches import Batches
from tlbench.engine.loss_check import scalar_loss
from tlbench.engine.runtime.throughput import DATA
from tlbench.engine.training import ddp
from tlbench.engine.training.compiled_loss import compile_phase
from tlbench.engine.training.cuda_graph import capture, host_synchronizations, replay_agrees
from tlbench.engine.training.module_attributes import attributes_of
from tlbench.engine.training.optimizer import PhaseOptimizer
from tlbench.engine.training.update import EndStage, update
from tlbench.errors import CaptureError, TlbenchError
from tlbench.methods.base import DeepMethod, Phase
from tlbench.suite import Training

EAGER_STEPS = 10
"""Steps that run eagerly before one is captured, or before `compile = "auto"` decides."""
SETTLING_STEPS = 3
"""Steps between the compilation of a loss and the capture of the step."""
MIN_CAPTURE_STEPS = 50
"""Phases of fewer steps are not captured."""
COMPILE_SECONDS, COMPILE_GAIN = 60.0, 0.2
"""On a GPU `compile = "auto"` compiles where 20 % of the time that the rest of the phase would take is over a minute."""

CountOperations = Callable[[], contextlib.AbstractContextManager[None]]
"""Makes the context in which the operations of one step are counted."""


def may_capture(choice: str, device: torch.device) -> bool:
    """Whether `train.compile` lets a step be captured on a device; learning rates then live on the device."""
    return device.type == "cuda" and choice in {"auto", "graph"}


class StepRunner:
    """Runs the steps of one phase.

    Args:
        method: the method that learns.
        phase: its loss, and what follows a step.
        batches: the batches of all steps.
        optimizer: the optimizer of the phase.
        training: `train.compile`.
        losses: (steps,) or (steps, seeds) on the device, into which each step writes its loss.
        clock: compilation and capture are billed to `compile`, in addition to the interval around them.
        note: called with a note for the record.
        first_step: index of the first step; not 0 where a training resumes from a checkpoint.
    """

    def __init__(
        self,
        method: DeepMethod,
        phase: Phase,
        batches: Batches,
        optimizer: PhaseOptimizer,
        training: Training,
        losses: Tensor,
        clock: Clock,
        note: Callable[[str], None],
        first_step: int = 0,
    ) -> None:
        self._method, self._phase, self._batches, self._optimizer = method, phase, batches, optimizer
        self._losses, self._clock, self._note = losses, clock, note
        self._steps, self._device = len(losses), losses.device
        self._choice: str = training.compile
        self._progress: Tensor | None = None
        """(steps,) on the device, for compiled and captured steps."""
        self._replay: Callable[[], None] | None = None
        self._first_step = first_step
        self._step_index = torch.full((1,), first_step, device=self._device)
        """(1,) on the device, the index of the next step, for captured steps."""
        self._learning_rates: Tensor | None = None
        """(steps, groups) on the device, for captured steps."""
        self._stream: Any = None
        self._synchronizations: list[str] = []
        """The lines of the last eager step that synchronise the host with the device."""
        why_not = self._why_not_capturable()
        self._captures = why_not is None
        if why_not is not None and self._choice == "graph" and self._steps:
            self._note(f"graph off: {why_not}")
        decides = self._captures or (self._choice == "auto" and self._device.type == "cuda")
        self._decision_step = first_step + 1 if self._choice == "step" else first_step + EAGER_STEPS if decides else -1
        """The index of the step before which to compile or capture; -1 where neither is left to do."""
        self._eager_clock, self._times_eager_steps = Clock(self._device), self._device.type == "cuda"
        if self._captures:
            self._prepare_capture()

    def run(self, start: int, stop: int, timer: StepTimer, count_operations: CountOperations) -> None:
        """Run the steps from `start` to `stop` without interruption.

        Args:
            start: index of the first step within the phase.
            stop: one past the last step.
            timer: times the steps and their stages.
            count_operations: makes the context in which the first step of the phase runs.
        """
        timer.start()
        step = start
        while step < stop:
            if step == self._decision_step:
                step += self._compile_or_capture(step)
                timer.start()
            elif self._replay is not None:
                self._replay()
                timer.end_step()
                step += 1
            else:
                if step == 0 or (self._times_eager_steps and self._is_timed(step)):
                    with count_operations() if step == 0 else self._eager_clock.measure("steps"):
                        self._run_step(step, timer.end_stage)
                else:
                    self._run_step(step, timer.end_stage)
                timer.end_step()
                step += 1

    # --- eager steps ---

    def _run_step(self, step: int, end_stage: EndStage) -> None:
        if self._captures:
            last_eager = step == self._decision_step - 1
            with self._capture_stream(), host_synchronizations(self._device, last_eager) as self._synchronizations:
                self._run_indexed_step(end_stage)
            return
        batch = self._batches.at(step, self._progress_at(step))
        end_stage(DATA)
        self._optimizer.set_progress(step / self._steps)
        loss = update(self._phase, batch, self._optimizer, end_stage)
        self._losses[step] = scalar_loss(loss, self._losses.ndim - 1, self._phase.loss)

    def _is_timed(self, step: int) -> bool:
        """Whether `auto` times a step, to decide whether compilation pays."""
        return EAGER_STEPS // 2 <= step - self._first_step < EAGER_STEPS and self._choice == "auto"

    def _compile_or_capture(self, step: int) -> int:
        """Compile or capture where that is asked for; returns the number of steps that were made on the way."""
        with self._clock.measure("compile"):
            if self._choice == "step" or (self._choice == "auto" and self._compilation_pays(step)):
                self._choice = "decided"
                self._decision_step = step + 1 + SETTLING_STEPS if self._captures else -1
                self._run_compiled_step(step)
                return 1
            self._decision_step = -1
            if self._captures:
                self._capture()
        return 0

    def _compilation_pays(self, step: int) -> bool:
        seconds = self._eager_clock.seconds.get("steps", 0.0) / (EAGER_STEPS - EAGER_STEPS // 2)
        return COMPILE_GAIN * seconds * (self._steps - step) > COMPILE_SECONDS

    # --- compiled steps ---

    def _run_compiled_step(self, step: int) -> None:
        """Make a step with a compiled loss; where that fails, make it and all later ones eagerly."""
        eager_phase, eager_progress = self._phase, self._progress
        random = torch.get_rng_state()
        device_random = torch.cuda.get_rng_state(self._device) if self._device.type == "cuda" else None
        self._optimizer.set_progress(step / self._steps)
        batch = self._batches.at(step, step / self._steps)
        try:
            self._set_progress()
            self._phase = compile_phase(eager_phase)
            batch_now = dataclasses.replace(batch, progress=self._progress_at(step))
            loss = update(self._phase, batch_now, self._optimizer, _ignore_stage)
        except TlbenchError:
            raise
        except Exception as error:  # the compiler raises errors of many types for a loss that it can't take
            self._phase, self._progress = eager_phase, eager_progress
            torch.set_rng_state(random)
            if device_random is not None:
                torch.cuda.set_rng_state(device_random, self._device)
            self._note(f"compile off: {_first_line(error)}")
            batch_now = dataclasses.replace(batch, progress=self._progress_at(step))
            loss = update(eager_phase, batch_now, self._optimizer, _ignore_stage)
        self._losses[step] = loss
        self._step_index.add_(1)

    def _progress_at(self, step: int) -> Any:
        """The progress at a step: a number, or a tensor () where the step is compiled or captured."""
        return step / self._steps if self._progress is None else self._progress[step].clone()

    def _set_progress(self) -> None:
        if self._progress is None:
            self._progress = (torch.arange(self._steps, dtype=torch.float64) / self._steps).float().to(self._device)

    # --- captured steps ---

    def _why_not_capturable(self) -> str | None:
        if not may_capture(self._choice, self._device):
            return "CUDA graphs need a CUDA device"
        if self._steps - self._first_step < MIN_CAPTURE_STEPS:
            return f"the phase has {self._steps - self._first_step} steps, fewer than {MIN_CAPTURE_STEPS}"
        if not self._batches.resident:
            return "samples are sent from the host"
        if ddp.current_share() is not None:
            return "several devices share each batch"
        if self._phase.rounds != 1:
            return "passes over all samples are repeated between the steps"
        if self._optimizer.learning_rate_table(self._steps) is None:
            return "layers are frozen in some steps only"
        return None

    def _prepare_capture(self) -> None:
        """Put learning rates and progress on the device, and remember the state that captured steps must not change."""
        self._optimizer.set_progress(self._first_step / self._steps)  # frozen groups are frozen in all steps
        table = self._optimizer.learning_rate_table(self._steps)
        assert table is not None
        self._learning_rates = table.to(self._device)
        self._set_progress()
        for settings in self._optimizer.torch_optimizer.param_groups:  # those of a checkpoint may be on another device
            settings["lr"] = torch.as_tensor(settings["lr"], dtype=torch.float32).to(self._device)
        self._attributes, self._random = attributes_of(self._method), torch.get_rng_state()
        on_gpu = self._device.type == "cuda"
        self._device_random = torch.cuda.get_rng_state(self._device) if on_gpu else torch.empty(0)

    def _run_indexed_step(self, end_stage: EndStage) -> None:
        """Make a step whose index is read from the device, so that it can be replayed."""
        assert self._learning_rates is not None and self._progress is not None
        lrs = self._learning_rates.index_select(0, self._step_index)[0]
        for lr, settings in zip(lrs, self._optimizer.torch_optimizer.param_groups, strict=True):
            settings["lr"].copy_(lr)
        batch = self._batches.at(self._step_index, self._progress.index_select(0, self._step_index)[0])
        end_stage(DATA)
        loss = update(self._phase, batch, self._optimizer, end_stage)
        self._losses.index_copy_(0, self._step_index, loss[None].to(self._losses.dtype))
        self._step_index.add_(1)

    def _capture(self) -> None:
        """Capture a step, and replay it from now on; where that fails, note the reason."""
        try:
            if not torch.equal(self._random, torch.get_rng_state()):
                raise CaptureError("random numbers are drawn on the host")
            if self._attributes != attributes_of(self._method):
                raise CaptureError("a step changes attributes that are no buffers")
            if self._synchronizations:
                lines = ", ".join(dict.fromkeys(self._synchronizations))
                raise CaptureError(f"a step synchronises host and device ({lines})")
            self._optimizer.zero_grad()
            replay = capture(lambda: self._run_indexed_step(_ignore_stage), self._stream)
            if not self._draws_on_device() and not self._replay_agrees(replay):
                raise CaptureError("a replayed step gave other numbers than an eager step")
            self._replay = replay
        except TlbenchError:
            raise
        except Exception as error:  # the device raises errors of many types for what a captured step may not do
            self._note(f"graph off: {_first_line(error)}")

    def _replay_agrees(self, replay: Callable[[], None]) -> bool:
        def eager_step() -> None:
            with self._capture_stream():
                self._run_indexed_step(_ignore_stage)

        changed = (self._losses, self._step_index)
        return replay_agrees(replay, eager_step, self._method, self._optimizer.torch_optimizer, changed)

    def _draws_on_device(self) -> bool:
        """Whether earlier steps drew random numbers on the device, so that no step can be repeated for validation."""
        if self._device.type != "cuda":
            return False
        return not torch.equal(self._device_random, torch.cuda.get_rng_state(self._device))

    @contextlib.contextmanager
    def _capture_stream(self) -> Iterator[None]:
        """Run on a side stream inside the block, as a step must before its capture."""
        if self._device.type != "cuda":
            yield
            return
        current = torch.cuda.current_stream(self._device)
        self._stream = self._stream or torch.cuda.Stream(self._device)
        self._stream.wait_stream(current)
        with torch.cuda.stream(self._stream):
            yield
        current.wait_stream(self._stream)


def _first_line(error: Exception) -> str:
    """The first line of an error, with its type unless it is a CaptureError."""
    if isinstance(error, CaptureError):
        return str(error)
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return f"{type(error).__name__}: {lines[0]}"[:200] if lines else type(error).__name__


def _ignore_stage(stage: str) -> None:
    """The stages of this step are not timed."""
