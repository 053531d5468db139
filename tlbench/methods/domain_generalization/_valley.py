"""Which segments of a training SWAD averages: those in a valley of the losses at their ends."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import fmean


def averaged_segments(losses: Sequence[float], converge: int, tolerance: int, ratio: float) -> list[int]:
    """The indices of the segments that are averaged, as the authors' LossValley chooses them.

    Args:
        losses: the loss at the end of each segment, on held-out samples.
        converge: the training has converged at the first segment whose loss is the lowest of itself and those after it, this
            many in all.
        tolerance: the number of segments whose lowest loss is compared with the threshold.
        ratio: the threshold is 1 + ratio times the mean loss of the segments of `converge`.

    Returns:
        At least one index; the last segment alone where the training has not converged. A segment may be there twice.
    """
    starts = range(len(losses) - converge + 1)
    start = next((i for i in starts if losses[i] == min(losses[i : i + converge])), None)
    if start is None:
        return [len(losses) - 1]
    threshold = fmean(losses[start : start + converge]) * (1 + ratio)
    seen = start + converge
    averaged = _before_convergence(losses[:seen], start, converge, tolerance, threshold)
    for end in range(seen + 1, len(losses) + 1):
        first = max(end - tolerance, 0)
        if first < start:
            continue
        if min(losses[first:end]) > threshold:
            return averaged or [start]
        averaged.append(first)
    # at the end, the segments that waited for those after them
    for first in range(max(len(losses) - tolerance, 0) + 1, len(losses)):
        if min(losses[first:]) > threshold:
            break
        averaged.append(first)
    return averaged or [start]


def _before_convergence(losses: Sequence[float], start: int, converge: int, tolerance: int, threshold: float) -> list[int]:
    """The segments that are averaged when the training is seen to have converged, of the losses until then."""
    if tolerance <= converge:
        return list(range(start + 1, start + 1 + converge - tolerance))
    first = max(len(losses) - tolerance, 0)
    waiting = list(range(first, len(losses)))[: tolerance - converge + 1]
    above = [position for position, segment in enumerate(waiting) if losses[segment] > threshold]
    return waiting[(above[-1] + 1 if above else 0) + 1 :]
