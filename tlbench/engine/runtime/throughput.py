"""How fast the steps were, how fast a predictor is, and how many operations a step takes: the facts behind a Cost."""

from __future__ import annotations

import contextlib
import os
import statistics
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from tlbench.clock import Clock, Memory, Steps, quantile, warm_up
from tlbench.engine.data.inputs import CHUNK, Inputs
from tlbench.methods.base import Predictor

DATA, FORWARD_BACKWARD, OPTIMISER = "data", "forward_backward", "optimizer"
"""The parts of a step that the loop tells apart; each becomes `step_<part>_seconds` of a Cost."""

AT_ONCE = (1, 64)
"""Rows at once for which a case says how fast it predicts."""
_PATIENCE = 0.0025
"""Share of the training's seconds that the measurement of one of them may take; else it is left out."""
_CALLS = 50
_MOST_ROWS = {"cpu": 2**16, "cuda": 2**20}
_LONGEST_SECONDS = 1.0


@dataclass
class StepThroughput:
    """The steps of all phases of a training, their warm-ups left out."""

    seconds: list[float] = field(default_factory=list)
    samples: int = 0
    """Rows of all parts that these steps put through the backbone."""
    warm_up_steps: int = 0
    parts: dict[str, list[float]] = field(default_factory=dict)
    flops: float = 0.0
    """Forward and backward, of all steps of all phases; 0 where none could be counted."""
    flop_samples: int = 0

    def add(self, steps: Steps, samples_per_step: int) -> None:
        """A phase that has ended."""
        first = warm_up(steps.seconds)
        self.warm_up_steps += first
        self.seconds += steps.seconds[first:]
        self.samples += samples_per_step * (len(steps.seconds) - first)
        for name, of_step in steps.parts.items():
            self.parts.setdefault(name, []).extend(s for at, s in of_step.items() if at >= first)

    @contextlib.contextmanager
    def counting(self, steps: int, samples_per_step: int) -> Iterator[None]:
        """Count the operations of the one step inside, which stands for all `steps` of its phase.

        The counter looks on at what torch calls; results are the same to the bit.
        """
        with FlopCounterMode(display=False) as counter:
            yield
        self.flops += float(counter.get_total_flops()) * steps
        self.flop_samples += samples_per_step * steps

    def samples_per_second(self) -> float | None:
        """None where no step was timed."""
        return self.samples / sum(self.seconds) if self.seconds else None

    def facts(self) -> dict[str, Any]:
        """As fields of `Cost`."""
        if not self.seconds:
            return {}
        return {
            "train_samples_per_second": self.samples_per_second(),
            "step_seconds_median": quantile(self.seconds, 0.5),
            "step_seconds_p95": quantile(self.seconds, 0.95),
            "warm_up_steps": self.warm_up_steps,
            "train_flops_per_sample": self.flops / self.flop_samples if self.flops else None,
            **{f"step_{name}_seconds": statistics.fmean(of_step) for name, of_step in self.parts.items() if of_step},
        }


def predict_throughput(
    predictor: Predictor, x: Tensor, inputs: Inputs, patience_seconds: float, clock: Clock
) -> dict[int, float]:
    """Rows at once -> samples per second of a predictor on stored rows x (N, ...), for each of `AT_ONCE`."""
    return {n: _rate(predictor, x[:n], inputs, patience_seconds, clock) for n in AT_ONCE if n <= len(x)}


def patience(train_seconds: float, row_seconds: float) -> float | None:
    """Seconds for each of `AT_ONCE`, so that a case is not slowed down by being measured; None: leave it.

    Args:
        train_seconds: of the case.
        row_seconds: of one row, in its prediction of all scored rows.
    """
    allowed = _PATIENCE * train_seconds
    return allowed if 2 * max(AT_ONCE) * row_seconds < allowed else None


def largest_predict_batch(predictor: Predictor, x: Tensor, inputs: Inputs, clock: Clock) -> tuple[int, float] | None:
    """The largest number of rows at once, a power of two, that the device predicts, and its samples per second.

    It fits if its memory does: all that a GPU has, on a CPU half of what is free now. Nothing larger is tried after a
    forward of over a second, nor beyond 2^20 rows (2^16 on a CPU). Peaks of memory start anew here.
    """
    rows, found = CHUNK, None
    while rows <= _MOST_ROWS.get(x.device.type, CHUNK):
        try:
            memory = Memory(x.device)
            before = memory.peak()
            seconds = _once(predictor, x[torch.arange(rows, device=x.device) % len(x)], inputs, clock)
        except RuntimeError:  # no memory, or more elements than a kernel can count
            break
        found = (rows, rows / seconds)
        peak, free = memory.peak(), _free(x.device)
        if seconds > _LONGEST_SECONDS or before is None or peak is None or free is None or 2 * (peak - before) > free:
            break
        rows *= 2
    if x.device.type == "cuda":
        torch.cuda.empty_cache()
    return found


def _free(device: torch.device) -> int | None:
    """Bytes that may be taken: a GPU says itself when there is no more, a CPU's system would be brought to its knees."""
    if device.type == "cuda":
        return sys.maxsize
    try:
        return os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 2
    except (ValueError, OSError, AttributeError):  # not on every system
        return None


def _rate(predictor: Predictor, x: Tensor, inputs: Inputs, patience_seconds: float, clock: Clock) -> float:
    """Samples per second over some calls with all of x, after one that is not looked at."""
    _once(predictor, x, inputs, clock)
    calls = max(1, min(_CALLS, int(patience_seconds / _once(predictor, x, inputs, clock))))
    name = f"predict {len(x)}"
    with torch.no_grad(), clock.measure(name):
        for _ in range(calls):
            predictor(inputs(x))
    return calls * len(x) / clock.seconds.pop(name)


def _once(predictor: Predictor, x: Tensor, inputs: Inputs, clock: Clock) -> float:
    with torch.no_grad(), clock.measure("predict once"):
        predictor(inputs(x))
    return clock.seconds.pop("predict once")
