"""Costs of a record held to each other and to its machine: what no run can measure.

Fields are compared where one follows from others within a factor. Their exact values can't be derived from a record; `tlbench
verify` measures a sample of the cases again.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from tlbench.engine.measurement import is_vmapped
from tlbench.engine.runtime.throughput import OTHER_WORK
from tlbench.records import case_times
from tlbench.terms import Record

MOST_CORES = 4096
SLACK = 1.05
"""Two clocks, or two measurements of one limit, may differ by so much."""
MOST_BATCHES_PER_STEP = 64
"""A step puts the batches of at most three splits through the backbone, each a few times, and half of the steps may be slow."""


def cost_errors(record: Record) -> Iterator[str]:
    """The errors in the costs of a record, a sentence each."""
    times = case_times(record)
    if times is None:
        yield (
            f"started = {record.started!r} and finished = {record.finished!r} are not two times in ISO 8601 with their zone, "
            "such as 2026-01-31T12:00:00+00:00."
        )
    yield from _duration_errors(record, times)
    yield from _rate_errors(record)


def _duration_errors(record: Record, times: tuple[datetime, datetime] | None) -> Iterator[str]:
    """The errors of durations that are parts of others."""
    cost = record.cost
    case_seconds = cost.wall_seconds  # of a clock that nobody sets back
    if case_seconds is None and times is not None and times[0] <= times[1]:
        case_seconds = (times[1] - times[0]).total_seconds()
    if case_seconds is None:
        return
    durations = {"training": cost.train_seconds}
    if record.scores.scored_samples and cost.predict_samples_per_second:
        durations["prediction of its scored samples"] = record.scores.scored_samples / cost.predict_samples_per_second
    if cost.step_seconds_median is not None and cost.steps is not None and not is_vmapped(record):
        durations["slower half of its steps"] = cost.step_seconds_median * ((cost.steps - (cost.warm_up_steps or 0)) // 2)
    for name, seconds in durations.items():
        if seconds is not None and seconds > SLACK * case_seconds + 1:
            yield f"The {name} took {seconds:.1f} s of a case that took {case_seconds:.1f} s."


def _rate_errors(record: Record) -> Iterator[str]:
    """The errors of rates: above the limit of the device, or above what the time of a step allows."""
    cost = record.cost
    if (rate := cost.train_samples_per_second) is None:
        return
    flops = rate * (cost.train_flops_per_sample or 0.0)
    if cost.device_flops_per_second and flops > 2 * cost.device_flops_per_second:
        yield (
            f"train_samples_per_second is {rate:g}, which takes {flops:.3g} FLOPs/s of a device that has "
            f"{cost.device_flops_per_second:.3g}."
        )
    if cost.step_seconds_median and cost.batch and not is_vmapped(record):
        samples = rate * cost.step_seconds_median
        of_steps_alone = not any(OTHER_WORK in note for note in record.notes)
        least = cost.batch / MOST_BATCHES_PER_STEP if of_steps_alone else 0.0
        if not least <= samples <= cost.batch * MOST_BATCHES_PER_STEP:
            yield (
                f"train_samples_per_second is {rate:g}, which is {samples:.3g} samples in the median step of "
                f"{cost.step_seconds_median:.3g} s, and the batch has {cost.batch}."
            )
    if record.kind == "shallow" and cost.train_seconds:
        samples = rate * cost.train_seconds
        if abs(samples - round(samples)) > 1e-6 * samples + 1e-3 or round(samples) < bool(record.reads):
            yield (
                f"train_samples_per_second is {rate:g}, which is {samples:.6g} samples in the {cost.train_seconds:g} s of its "
                "fit, and no whole number."
            )
