"""A finished case -> what it cost: every fact that the clock has, and those that a few more predictions give."""

from __future__ import annotations

from typing import Any

import torch

from tlbench.clock import Clock, Memory
from tlbench.engine.data.inputs import CHUNK
from tlbench.engine.data.storage import Subset
from tlbench.engine.fitting import FittedMethod
from tlbench.engine.runtime import device_limits
from tlbench.engine.runtime.throughput import largest_predict_batch, patience, predict_throughput
from tlbench.methods.base import DeepMethod
from tlbench.suite import Training
from tlbench.terms import Cost


def warm_up(device: torch.device, precision: str) -> None:
    """Measure the device's limit before any stretch or peak of a case begins; once in a process."""
    device_limits.peak_matmul_flops(device, precision)


def cost(
    fitted: FittedMethod,
    scored: Subset,
    watch: Clock,
    memory: Memory,
    joules: float | None,
    training: Training,
    precision: str,
    granted_rows: int,
    *,
    largest: bool = False,
) -> Cost:
    """What a case cost.

    Args:
        fitted: after its training and the prediction of all scored rows, which `watch` has billed to `train` and `predict`.
        scored: the scored rows.
        watch: the clock of the case.
        memory: watched since before the training.
        joules: of the training.
        training: the budget.
        precision: what the steps ran in.
        granted_rows: that a solved method was fitted on.
        largest: measure the prediction of the largest number of rows at once too; that can take seconds.
    """
    train_seconds, predict_seconds = watch.seconds["train"], watch.seconds["predict"]
    facts: dict[str, Any] = {
        "train_seconds": train_seconds,
        "predict_samples_per_second": len(scored) / predict_seconds,
        "peak_memory_bytes": memory.peak(),
        "peak_reserved_bytes": memory.reserved(),
        "peak_resident_bytes": memory.resident(),
        "energy_joules": joules,
    }
    if isinstance(fitted.method, DeepMethod):
        facts |= fitted.outcome.speed.facts()
        facts |= {
            "steps": len(fitted.outcome.losses),
            "batch": training.batch,
            "compile_seconds": watch.seconds.get("compile"),
            "device_flops_per_second": device_limits.peak_matmul_flops(scored.store.device, precision),
        }
    else:
        facts["train_samples_per_second"] = granted_rows / train_seconds
    return Cost(**facts, predict_rates=_rates(fitted, scored, watch, largest=largest) or None)


def _rates(fitted: FittedMethod, scored: Subset, watch: Clock, *, largest: bool) -> dict[int, float]:
    """Samples per second by the number of rows at once; none of a method that goes on learning while it predicts."""
    if isinstance(fitted.method, DeepMethod) and fitted.method.online() is not None:
        return {}
    allowed = patience(watch.seconds["train"], watch.seconds["predict"] / len(scored))
    if largest and allowed is None:
        allowed = 0.0
    if allowed is None:
        return {}  # before any row is copied
    x = scored[torch.arange(min(len(scored), CHUNK))].x
    rates = predict_throughput(fitted.predictor, x, fitted.inputs, allowed, watch)
    if largest and (found := largest_predict_batch(fitted.predictor, x, fitted.inputs, watch)):
        rates[found[0]] = found[1]
    return rates
