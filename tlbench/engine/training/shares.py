"""The steps of a suite, shared out among the phases of a method, which cannot take more than there are; and its rounds."""

from __future__ import annotations

import math
from collections.abc import Sequence

from tlbench.errors import TlbenchError
from tlbench.methods.base import Phase

ROUNDING = 1e-6
"""By how much the sum of shares may exceed 1."""


def steps_of_phases(phases: Sequence[Phase], steps: int, method: str) -> list[int]:
    """The steps of each phase by its share of all steps; one at least, but none for a phase without a loss.

    Where a phase of a tiny share gets one step all the same, the longest phase gives it up.

    Args:
        phases: the phases of a method.
        steps: the steps of the suite.
        method: the name of the method, for the error.

    Raises:
        TlbenchError: a share is not between 0 and 1, the shares sum to more than 1, or there are more phases than steps.
    """
    shares = [phase.share if phase.loss is not None else 0.0 for phase in phases]
    listed = ", ".join(f"{phase.share:g}" for phase in phases)
    if not all(0 <= share <= 1 for share in shares) or math.fsum(shares) > 1 + ROUNDING:
        raise TlbenchError(
            f"{method}.phases() has the shares {listed} of the suite's {steps} steps. Each share must lie between 0 and 1 and "
            "their sum must not exceed 1, for every method has the same budget."
        )
    with_loss = sum(phase.loss is not None for phase in phases)
    if with_loss > steps:
        raise TlbenchError(
            f"{method}.phases() has {with_loss} phases with a loss, and the suite has {steps} steps. Each phase takes one at "
            "least: raise train.steps."
        )
    ends = [round(steps * sum(shares[: i + 1])) for i in range(len(shares))]
    spans = zip(phases, [0, *ends[:-1]], ends, strict=True)
    counts = [max(end - start, 1) if phase.loss is not None else 0 for phase, start, end in spans]
    while sum(counts) > steps:
        counts[counts.index(max(counts))] -= 1
    return counts


def begin_steps(phase: Phase, steps: int, batch_size: int, sizes: Sequence[int]) -> list[int]:
    """The steps before which `begin` of a phase is called.

    Args:
        phase: the phase.
        steps: number of its steps.
        batch_size: samples of each split in a step.
        sizes: number of samples of each split that the steps draw from.
    """
    if phase.begin is None:
        return []
    if phase.rounds is not None:
        return [round(number * steps / phase.rounds) for number in range(phase.rounds)]
    samples = max(sizes, default=1)
    epochs = range(-(-steps * batch_size // samples))
    return sorted({step for epoch in epochs if (step := round(epoch * samples / batch_size)) < steps} | {0})
