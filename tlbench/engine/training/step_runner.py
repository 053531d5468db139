"""How the steps of a phase run: as they are written, with a compiled loss, or captured whole and replayed.

The first steps always run as written; they are steps of the training like the others. Then the loss may be compiled
(`torch.compile`), and the whole step captured as a CUDA graph, which the device replays without the program. Where that can't
be done, or does not pay, the steps go on as written, and the reason is noted.
"""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor

from tlbench.clock import Clock, Steps
from tlbench.engine.data.batches import Batches
from tlbench.engine.runtime.throughput import DATA
from tlbench.engine.training import ddp
from tlbench.engine.training.cuda_graph import capture, host_synchronizations, replay_agrees
from tlbench.engine.training.module_attributes import attributes_of
from tlbench.engine.training.optimizer import PhaseOptimizer
from tlbench.engine.training.update import update
from tlbench.errors import CaptureError, TlbenchError
from tlbench.methods.base import DeepMethod, Phase
from tlbench.suite import Training

TRIED = 10
"""Steps that run as written before one is captured, or `compile = "auto"` makes up its mind."""
SETTLING = 3
"""Steps between the compiling of a loss and the capture of the step."""
SHORT = 50
"""Phases of fewer steps are not captured."""
COMPILING_SECONDS, GAIN = 60.0, 0.2
"""On a GPU `compile = "auto"` compiles where a fifth of the time that the rest of the phase would take is over a minute."""

COMPILER: dict[str, Any] = {"backend": "inductor", "options": {"fallback_random": True}}
"""torch's own; random numbers are drawn as they are without it."""

Counting = Callable[[], contextlib.AbstractContextManager[None]]


def on_device(choice: str, device: torch.device) -> bool:
    """Whether a phase may be captured: its rates then live on the device."""
    return device.type == "cuda" and choice in {"auto", "graph"}


class StepRunner:
    """The steps of one phase.

    Args:
        method: what learns.
        phase: its loss and what follows a step.
        batches: what the steps draw.
        rates: the optimizer.
        training: the budget and how it may run.
        losses: (steps,) or (steps, seeds) on the device, where each step leaves its loss.
        clock: compiling and capturing is billed to `compile`, beside what is measured around it.
        note: told of what ran otherwise than asked, and why.
        first: the step that comes first, where a training goes on from a checkpoint.
    """

    def __init__(
        self,
        method: DeepMethod,
        phase: Phase,
        batches: Batches,
        rates: PhaseOptimizer,
        training: Training,
        losses: Tensor,
        clock: Clock,
        note: Callable[[str], None],
        first: int = 0,
    ) -> None:
        self._method, self._phase, self._batches, self._rates = method, phase, batches, rates
        self._losses, self._clock, self._note = losses, clock, note
        self._steps, self._device = len(losses), losses.device
        self._choice: str = training.compile
        self._progress: Tensor | None = None
        """(steps,) on the device, where the progress goes into a compiled or captured step."""
        self._replay: Callable[[], None] | None = None
        self._first, self._at = first, torch.full((1,), first, device=self._device)
        self._table: Tensor | None = None
        self._stream: Any = None
        self._waits: list[str] = []
        """The lines of the last step that waited for the device."""
        why_not = self._why_no_graph()
        self._captures = why_not is None
        if why_not is not None and self._choice == "graph" and self._steps:
            self._note(f"graph off: {why_not}")
        tries = self._captures or (self._choice == "auto" and self._device.type == "cuda")
        self._decides_at = first + 1 if self._choice == "step" else first + TRIED if tries else -1
        self._trial, self._timing = Clock(self._device), self._device.type == "cuda"
        if self._captures:
            rates.set(first / self._steps)  # what is frozen is frozen throughout, else there is no table
            self._table = rates.table(self._steps)
            assert self._table is not None
            self._table = self._table.to(self._device)
            self._set_progress()
            for held in rates.optimizer.param_groups:  # those of a checkpoint may lie elsewhere
                held["lr"] = torch.as_tensor(held["lr"], dtype=torch.float32).to(self._device)
            self._before = attributes_of(method), torch.get_rng_state()
            self._drawn = torch.cuda.get_rng_state(self._device) if self._device.type == "cuda" else torch.empty(0)

    def run(self, start: int, stop: int, timed: Steps, counting: Counting) -> None:
        """Steps `start` to `stop`, without a look from outside.

        Args:
            start: number of the first step of the stretch within the phase.
            stop: one past the last.
            timed: told when a step begins, what parts of it ended, and when it ends.
            counting: entered for the first step of the phase.
        """
        timed.start()
        at = start
        while at < stop:
            if at == self._decides_at:
                at += self._decide(at)
                timed.start()
            elif self._replay is not None:
                self._replay()
                timed.end()
                at += 1
            else:
                if at == 0 or (self._timing and self._times(at)):
                    with counting() if at == 0 else self._trial.measure("steps"):
                        self._step(at, timed.part)
                else:
                    self._step(at, timed.part)
                timed.end()
                at += 1

    # --- as written ---

    def _step(self, at: int, part: Callable[[str], None]) -> None:
        if self._captures:
            with self._beside(), host_synchronizations(self._device, at == self._decides_at - 1) as self._waits:
                self._one(part)
            return
        batch = self._batches.at(at, self._moment(at))
        part(DATA)
        self._rates.set(at / self._steps)
        self._losses[at] = update(self._phase, batch, self._rates, part)

    def _times(self, at: int) -> bool:
        """Whether a step is one of those that `auto` times, where it has to know how long one takes."""
        return TRIED // 2 <= at - self._first < TRIED and self._choice == "auto"

    def _decide(self, at: int) -> int:
        """Compile or capture, if that is wanted; how many steps were made on the way."""
        with self._clock.measure("compile"):
            if self._choice == "step" or (self._choice == "auto" and self._compiling_pays(at)):
                self._choice, self._decides_at = "decided", at + 1 + SETTLING if self._captures else -1
                self._compile(at)
                return 1
            self._decides_at = -1
            if self._captures:
                self._capture()
        return 0

    def _compiling_pays(self, at: int) -> bool:
        seconds = self._trial.seconds.get("steps", 0.0) / (TRIED - TRIED // 2)
        return GAIN * seconds * (self._steps - at) > COMPILING_SECONDS

    # --- compiled ---

    def _compile(self, at: int) -> None:
        """Make a step with a compiled loss; where that fails it is made as written, with all that follow."""
        written, progress = self._phase, self._progress
        draws = torch.get_rng_state(), torch.cuda.get_rng_state(self._device) if self._device.type == "cuda" else None
        self._rates.set(at / self._steps)
        batch = self._batches.at(at, at / self._steps)
        try:
            self._set_progress()
            self._phase = compile_phase(written)
            loss = update(self._phase, dataclasses.replace(batch, progress=self._moment(at)), self._rates, _ignore)
        except TlbenchError:
            raise
        except Exception as error:  # whatever the compiler says of a loss that it can't take
            self._phase, self._progress = written, progress
            torch.set_rng_state(draws[0])
            if draws[1] is not None:
                torch.cuda.set_rng_state(draws[1], self._device)
            self._note(f"compile off: {_first_line(error)}")
            loss = update(written, dataclasses.replace(batch, progress=self._moment(at)), self._rates, _ignore)
        self._losses[at] = loss
        self._at.add_(1)

    def _moment(self, at: int) -> Any:
        """The progress at a step: a number, or a tensor () where the step is compiled or captured."""
        return at / self._steps if self._progress is None else self._progress[at].clone()

    # --- captured ---

    def _why_no_graph(self) -> str | None:
        if not on_device(self._choice, self._device):
            return "CUDA graphs need a CUDA device"
        if self._steps - self._first < SHORT:
            return f"the phase has {self._steps - self._first} steps, fewer than {SHORT}"
        if not self._batches.resident:
            return "rows are sent from the host"
        if ddp.current_share() is not None:
            return "several devices share each batch"
        if self._phase.rounds > 1:
            return "passes over all rows are made anew between the steps"
        if self._rates.table(self._steps) is None:
            return "layers are opened or frozen on the way"
        return None

    def _one(self, part: Callable[[str], None]) -> None:
        """A step that takes its number from the device, so that it can be replayed."""
        assert self._table is not None and self._progress is not None
        for rate, held in zip(self._table.index_select(0, self._at)[0], self._rates.optimizer.param_groups, strict=True):
            held["lr"].copy_(rate)
        batch = self._batches.at(self._at, self._progress.index_select(0, self._at)[0])
        part(DATA)
        loss = update(self._phase, batch, self._rates, part)
        self._losses.index_copy_(0, self._at, loss[None].to(self._losses.dtype))
        self._at.add_(1)

    def _capture(self) -> None:
        state, drawn = self._before
        try:
            if not torch.equal(drawn, torch.get_rng_state()):
                raise CaptureError("random numbers are drawn on the host")
            if state != attributes_of(self._method):
                raise CaptureError("a step changes attributes that are no buffers")
            if self._waits:
                raise CaptureError(f"a step waits for the device ({', '.join(dict.fromkeys(self._waits))})")
            self._rates.clear()
            replay = capture(lambda: self._one(_ignore), self._stream)
            if not self._draws() and not self._agrees(replay):
                raise CaptureError("a replayed step gave other numbers than the step as it is written")
            self._replay = replay
        except TlbenchError:
            raise
        except Exception as error:  # what a captured step may not do is told by the device alone
            self._note(f"graph off: {_first_line(error)}")

    def _agrees(self, replay: Callable[[], None]) -> bool:
        def written() -> None:
            with self._beside():
                self._one(_ignore)

        return replay_agrees(replay, written, self._method, self._rates.optimizer, (self._losses, self._at))

    def _draws(self) -> bool:
        """Whether the steps so far drew random numbers on the device: steps are then not the same twice."""
        return self._device.type == "cuda" and not torch.equal(self._drawn, torch.cuda.get_rng_state(self._device))

    def _set_progress(self) -> None:
        if self._progress is None:
            self._progress = (torch.arange(self._steps, dtype=torch.float64) / self._steps).float().to(self._device)

    @contextlib.contextmanager
    def _beside(self) -> Iterator[None]:
        """On a stream of its own: what is to be captured has to run there first."""
        if self._device.type != "cuda":
            yield
            return
        current = torch.cuda.current_stream(self._device)
        self._stream = self._stream or torch.cuda.Stream(self._device)
        self._stream.wait_stream(current)
        with torch.cuda.stream(self._stream):
            yield
        current.wait_stream(self._stream)


def compile_phase(phase: Phase) -> Phase:
    """The phase with each of its losses compiled as one graph; random numbers are drawn as without."""

    def of(loss: Callable[..., Any]) -> Callable[..., Any]:
        made: Callable[..., Any] = torch.compile(loss, fullgraph=True, dynamic=False, **COMPILER)
        return made

    assert phase.loss is not None
    if isinstance(phase.loss, tuple):
        return dataclasses.replace(phase, loss=tuple(dataclasses.replace(turn, loss=of(turn.loss)) for turn in phase.loss))
    return dataclasses.replace(phase, loss=of(phase.loss))


def _first_line(error: Exception) -> str:
    """What an error says, in a line."""
    if isinstance(error, CaptureError):
        return str(error)
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return f"{type(error).__name__}: {lines[0]}"[:200] if lines else type(error).__name__


def _ignore(part: str) -> None:
    """The parts of this step are not timed."""
