"""Throughput of training steps and predictions, and floating-point operations of a step: the facts of a `Cost`."""

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

from tlbench.clock import Clock, PeakMemory, StepTimer, quantile, warm_up_steps
from tlbench.engine.data.inputs import CHUNK_SAMPLES, Inputs
from tlbench.methods.base import Predictor

DATA, FORWARD_BACKWARD, OPTIMIZER = "data", "forward_backward", "optimizer"
"""The stages of a step that are timed; each becomes `step_<stage>_seconds` of a `Cost`."""

PREDICT_BATCH_SIZES = (1, 64)
"""The batch sizes at which a case measures its prediction throughput."""
UNSCORED = "unscored predictions"
"""The clock's name for the predictions before those of the scored samples: trace, validation samples, warm-up."""
MARGIN_SECONDS = 0.5
"""Up to so many seconds, the construction of a method and the warm-up of its predictor are in no samples per second."""
OTHER_WORK = "which its samples per second include"
"""The end of the notes on records whose samples per second are not those of the steps alone."""
_MEASUREMENT_SHARE = 0.0025
"""The measurement at one batch size may take this share of the training's seconds; otherwise it is left out."""
_MAX_CALLS = 50
_MAX_BATCH_SIZE = {"cpu": 2**16, "cuda": 2**20}
_MAX_FORWARD_SECONDS = 1.0


@dataclass
class StepThroughput:
    """The step times of all phases of a training, without their warm-up steps."""

    seconds: list[float] = field(default_factory=list)
    samples: int = 0
    """Samples of all splits that these steps put through the backbone."""
    warm_up_steps: int = 0
    stages: dict[str, list[float]] = field(default_factory=dict)
    """Stage -> seconds of each step whose stages were timed."""
    flops: float = 0.0
    """Operations of forward and backward over all steps of all phases; 0 where none could be counted."""
    flop_samples: int = 0
    other_seconds: float = 0.0
    """What the method did outside its steps that is no construction or warm-up of `MARGIN_SECONDS`."""

    def add(self, timer: StepTimer, samples_per_step: int) -> None:
        """Add the steps of a phase that has ended."""
        warm_up = warm_up_steps(timer.seconds)
        self.warm_up_steps += warm_up
        self.seconds += timer.seconds[warm_up:]
        self.samples += samples_per_step * (len(timer.seconds) - warm_up)
        for stage, seconds_by_step in timer.stages.items():
            self.stages.setdefault(stage, []).extend(s for step, s in seconds_by_step.items() if step >= warm_up)

    @contextlib.contextmanager
    def count_flops(self, steps: int, samples_per_step: int) -> Iterator[None]:
        """Count the operations of the one step in the block, which stands for all `steps` of its phase.

        The counter observes torch's calls; results stay the same bit for bit.
        """
        with FlopCounterMode(display=False) as counter:
            yield
        self.flops += float(counter.get_total_flops()) * steps
        self.flop_samples += samples_per_step * steps

    def samples_per_second(self) -> float | None:
        """Samples per second over the timed steps and `other_seconds`; None where no step was timed."""
        return self.samples / (sum(self.seconds) + self.other_seconds) if self.seconds else None

    def facts(self) -> dict[str, Any]:
        """The throughput as fields of `Cost`."""
        if not self.seconds:
            return {}
        return {
            "train_samples_per_second": self.samples_per_second(),
            "step_seconds_median": quantile(self.seconds, 0.5),
            "step_seconds_p95": quantile(self.seconds, 0.95),
            "warm_up_steps": self.warm_up_steps,
            "train_flops_per_sample": self.flops / self.flop_samples if self.flops else None,
            **{f"step_{stage}_seconds": statistics.fmean(seconds) for stage, seconds in self.stages.items() if seconds},
        }


def predict_throughput(predictor: Predictor, x: Tensor, inputs: Inputs, limit_seconds: float, clock: Clock) -> dict[int, float]:
    """Measure samples per second of a predictor at each of `PREDICT_BATCH_SIZES`.

    Args:
        predictor: network inputs (B, ...) -> outputs (B, C).
        x: stored samples (N, ...) on the device.
        inputs: stored samples -> network inputs.
        limit_seconds: of the measurement at one batch size; one call is always measured.
        clock: the clock of the device.

    Returns:
        Batch size -> samples per second, for the batch sizes up to N.
    """
    return {n: _samples_per_second(predictor, x[:n], inputs, limit_seconds, clock) for n in PREDICT_BATCH_SIZES if n <= len(x)}


def predict_time_limit(train_seconds: float, sample_seconds: float) -> float | None:
    """Seconds that the measurement at one batch size may take without slowing the case down; None where it would.

    Args:
        train_seconds: of the case.
        sample_seconds: per sample, in the prediction of all scored samples.
    """
    limit = _MEASUREMENT_SHARE * train_seconds
    return limit if 2 * max(PREDICT_BATCH_SIZES) * sample_seconds < limit else None


def largest_predict_batch(predictor: Predictor, x: Tensor, inputs: Inputs, clock: Clock) -> tuple[int, float] | None:
    """The largest batch size, a power of two, that the device can predict, and its samples per second; None where none fits.

    A batch must fit into the memory of a GPU, or into 50 % of the free memory of a CPU. The search ends after a forward of
    over a second, and at 2^20 samples (2^16 on a CPU). It resets the peaks of memory.

    Args:
        predictor: network inputs (B, ...) -> outputs (B, C).
        x: stored samples (N, ...) on the device; they are repeated to fill larger batches.
        inputs: stored samples -> network inputs.
        clock: the clock of the device.
    """
    batch_size, largest = CHUNK_SAMPLES, None
    while batch_size <= _MAX_BATCH_SIZE.get(x.device.type, CHUNK_SAMPLES):
        try:
            memory = PeakMemory(x.device)
            before = memory.peak()
            repeated = torch.arange(batch_size, device=x.device) % len(x)
            seconds = _forward_seconds(predictor, x[repeated], inputs, clock)
        except RuntimeError:  # out of memory, or more elements than a kernel can index
            break
        largest = (batch_size, batch_size / seconds)
        peak, usable = memory.peak(), _usable_bytes(x.device)
        if before is None or peak is None or usable is None:
            break
        if seconds > _MAX_FORWARD_SECONDS or 2 * (peak - before) > usable:
            break
        batch_size *= 2
    if x.device.type == "cuda":
        torch.cuda.empty_cache()
    return largest


def _usable_bytes(device: torch.device) -> int | None:
    """Bytes that the search may use: unlimited on a GPU, which raises when it has no more; a CPU's system would swap."""
    if device.type == "cuda":
        return sys.maxsize
    try:
        return os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 2
    except (ValueError, OSError, AttributeError):  # these values do not exist on every system
        return None


def _samples_per_second(predictor: Predictor, x: Tensor, inputs: Inputs, limit_seconds: float, clock: Clock) -> float:
    """Samples per second over several calls with all of x, after one call for warm-up."""
    _forward_seconds(predictor, x, inputs, clock)
    calls = max(1, min(_MAX_CALLS, int(limit_seconds / _forward_seconds(predictor, x, inputs, clock))))
    name = f"predict {len(x)}"
    with torch.no_grad(), clock.measure(name):
        for _ in range(calls):
            predictor(inputs(x))
    return calls * len(x) / clock.seconds.pop(name)


def _forward_seconds(predictor: Predictor, x: Tensor, inputs: Inputs, clock: Clock) -> float:
    with torch.no_grad(), clock.measure("predict once"):
        predictor(inputs(x))
    return clock.seconds.pop("predict once")
