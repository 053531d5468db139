"""The cost of a finished case: the facts of its clock, and the throughput of a few more predictions.

What a method does between the grant of its data and its first prediction is training: its construction, and what its first
predictions take beyond the later ones.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from tlbench.clock import Clock, PeakMemory
from tlbench.engine.candidates.collector import SELECTION
from tlbench.engine.data.inputs import CHUNK_SAMPLES
from tlbench.engine.data.storage import Subset
from tlbench.engine.fitting import FittedMethod
from tlbench.engine.runtime import device_limits
from tlbench.engine.runtime.throughput import (
    MARGIN_SECONDS,
    OTHER_WORK,
    UNSCORED,
    largest_predict_batch,
    predict_throughput,
    predict_time_limit,
)
from tlbench.engine.training.learned_tensors import adapter_bytes, trainable_parameters
from tlbench.methods.base import DeepMethod
from tlbench.suite import Training
from tlbench.terms import Cost

MARGIN_RATIO = 10.0
"""Predictions that take this many times as long as later ones, and `MARGIN_SECONDS` longer, hold work of the training."""


def measure_device_limit(device: torch.device, precision: str) -> None:
    """Measure the device's peak throughput, once in a process, before any interval or peak of a case begins."""
    device_limits.peak_matmul_flops(device, precision)


def bill_late_work(fitted: FittedMethod, clock: Clock, sizes: Sequence[int], scored: int) -> list[str]:
    """Bill to the training what the predictions before the scored ones took beyond the rate of those.

    A short warm-up, of kernels or of a predictor that is compiled when it is first called, is billed to nothing: these
    predictions must take more than 10 times what they take at the later rate, and 0.5 s more. Time in which other programs had
    the core is not counted.

    Args:
        fitted: the method after the prediction of all scored samples.
        clock: its clock, with `predict` and `UNSCORED`; `train` is changed.
        sizes: the number of samples of each prediction before the scored ones.
        scored: the number of scored samples.

    Returns:
        The notes for the record: none, or a sentence.
    """
    seconds = clock.seconds[UNSCORED]
    shares = (sum(sizes) / scored, sum(map(_calls, sizes)) / _calls(scored))
    expected = max(shares) * clock.seconds["predict"]
    if seconds - expected <= MARGIN_SECONDS or seconds <= MARGIN_RATIO * expected:
        return []
    clock.seconds["train"] += seconds - expected
    fitted.outcome.throughput.other_seconds += seconds - expected
    return [
        f"the first predictions took {seconds:.1f} s, and {expected:.2g} s at the rate of the later ones: the difference is "
        f"training time, {OTHER_WORK}"
    ]


def _calls(samples: int) -> int:
    """The calls of a predictor for a number of samples."""
    return -(-samples // CHUNK_SAMPLES)


def measure_cost(
    fitted: FittedMethod,
    scored: Subset,
    clock: Clock,
    memory: PeakMemory,
    joules: float | None,
    training: Training,
    precision: str,
    granted_samples: int,
    *,
    largest: bool = False,
) -> Cost:
    """Measure the cost of a case.

    Args:
        fitted: the method after its training and the prediction of all scored samples.
        scored: the scored samples.
        clock: the clock of the case, with `train` and `predict`.
        memory: the peak memory since before the training.
        joules: the energy of the training; None where it was not measured.
        training: batch size and steps.
        precision: the precision of the steps.
        granted_samples: number of samples that a shallow method was fitted on.
        largest: whether to measure the largest prediction batch as well, which can take seconds.
    """
    train_seconds, predict_seconds = clock.seconds["train"], clock.seconds["predict"]
    facts: dict[str, Any] = {
        "train_seconds": train_seconds,
        "predict_samples_per_second": len(scored) / predict_seconds,
        "peak_memory_bytes": memory.peak(),
        "stream_peak_memory_bytes": memory.interval_peak() if fitted.is_online else None,
        "peak_reserved_bytes": memory.reserved(),
        "peak_resident_bytes": memory.resident(),
        "energy_joules": joules,
        "selection_seconds": clock.seconds.get(SELECTION),
    }
    if isinstance(fitted.method, DeepMethod):
        facts |= fitted.outcome.throughput.facts()
        facts |= {
            "steps": len(fitted.outcome.losses),
            "batch": training.batch,
            "positions": training.positions if fitted.method.net.positions > 1 else None,
            "compile_seconds": clock.seconds.get("compile"),
            "device_flops_per_second": device_limits.peak_matmul_flops(scored.store.device, precision),
            "trainable_parameters": trainable_parameters(fitted.method),
            "adapter_bytes": adapter_bytes(fitted.method),
        }
    else:
        facts["train_samples_per_second"] = granted_samples / train_seconds
    return Cost(**facts, predict_rates=_predict_rates(fitted, scored, clock, largest=largest) or None)


def _predict_rates(fitted: FittedMethod, scored: Subset, clock: Clock, *, largest: bool) -> dict[int, float]:
    """Batch size -> samples per second; empty for a method that learns while it predicts."""
    if fitted.is_online:
        return {}
    limit_seconds = predict_time_limit(clock.seconds["train"], clock.seconds["predict"] / len(scored))
    if largest and limit_seconds is None:
        limit_seconds = 0.0
    if limit_seconds is None:
        return {}  # before any sample is copied
    x = scored[torch.arange(min(len(scored), CHUNK_SAMPLES))].x
    rates = predict_throughput(fitted.predictor, x, fitted.inputs, limit_seconds, clock)
    if largest and (measured := largest_predict_batch(fitted.predictor, x, fitted.inputs, clock)):
        batch_size, samples_per_second = measured
        rates[batch_size] = samples_per_second
    return rates
