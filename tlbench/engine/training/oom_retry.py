"""Gradient accumulation after out-of-memory: such a case is run again with each batch split into two microbatches."""

from __future__ import annotations

from collections.abc import Callable
from contextvars import ContextVar
from typing import TypeVar

import torch
from torch import Tensor

from tlbench.errors import TlbenchError
from tlbench.methods.base import Phase
from tlbench.terms import SPLITS, Labelled, Step

Result = TypeVar("Result")

is_accumulating: ContextVar[bool] = ContextVar("is_accumulating", default=False)
"""Whether steps accumulate the gradients of two microbatches now."""

ACCUMULATION_NOTE = (
    "gradient accumulation after out-of-memory: each step adds up the gradients of two microbatches, and what a loss measures "
    "over a batch (statistics, distances) it measures over each microbatch"
)


def retry_accumulated(run: Callable[[], Result], is_deep: bool, device: torch.device) -> tuple[Result, tuple[str, ...]]:
    """Run a case; after out-of-memory, run it again with gradient accumulation.

    The gradient of a mean over the samples of a batch stays the same up to rounding.

    Args:
        run: runs the case.
        is_deep: whether the method is deep; a shallow method has no batches to split.
        device: where the case runs.

    Returns:
        The result of `run`, and the notes for its record.

    Raises:
        TlbenchError: the case is out of memory, and accumulation does not help or is not possible.
    """
    try:
        return run(), ()
    except (MemoryError, RuntimeError) as error:
        if not is_out_of_memory(error):
            raise
        message = " ".join(str(error).split())[:200]
    # outside the except block, for the error refers to all that was in memory
    if not is_deep:
        raise TlbenchError(f"Out of memory: {message}. A shallow method takes all its samples at once. Use fewer samples.")
    if device.type == "cuda":
        torch.cuda.empty_cache()
    token = is_accumulating.set(True)
    try:
        return run(), (ACCUMULATION_NOTE,)
    except (MemoryError, RuntimeError) as error:
        if not is_out_of_memory(error):
            raise
        raise TlbenchError(f"Out of memory, also with two microbatches: {message}. Lower train.batch.") from error
    finally:
        is_accumulating.reset(token)


def is_out_of_memory(error: Exception) -> bool:
    """Whether an error says that memory does not suffice, on a GPU or on the host."""
    if isinstance(error, MemoryError | torch.OutOfMemoryError):
        return True
    return isinstance(error, RuntimeError) and "DefaultCPUAllocator" in str(error)


def backward_accumulated(phase: Phase, step: Step) -> Tensor:
    """Add up the gradients of two microbatches of a step; the loss (), detached, is that of the whole batch.

    Raises:
        TlbenchError: the phase makes alternating updates or combines the gradients of several losses, so that the step is not
            the sum over its microbatches; or the samples have a label for each position.
    """
    way_out = "its gradients can't be accumulated over microbatches. Lower train.batch."
    if isinstance(phase.loss, tuple):
        raise TlbenchError(f"Out of memory: A step makes alternating updates, and {way_out}")
    if phase.combine is not None:
        raise TlbenchError(f"Out of memory: A step combines the gradients of several losses, and {way_out}")
    if any(isinstance(batch := getattr(step, split), Labelled) and len(batch.x) != len(batch.y) for split in SPLITS):
        raise TlbenchError(f"Out of memory: A step draws several positions of each sample, and {way_out}")
    assert phase.loss is not None  # a phase without a loss has no steps
    total: Tensor | None = None
    for microbatch, share in split_step(step):
        loss = phase.loss(microbatch)
        assert isinstance(loss, Tensor)  # several losses need `combine`
        (loss * share).backward()
        total = loss.detach() * share if total is None else total + loss.detach() * share
    assert total is not None
    return total


def split_step(step: Step) -> list[tuple[Step, float]]:
    """The two microbatches of a step, each with its share of the samples."""
    batches = {split: batch for split in SPLITS if (batch := getattr(step, split)) is not None}
    samples = max(len(batch) for batch in batches.values())
    middle = samples // 2
    device = next(iter(step.indices.values())).device
    return [
        (
            Step(
                **{split: batch[positions] for split, batch in batches.items()},
                indices={split: indices[positions] for split, indices in step.indices.items()},
                progress=step.progress,
            ),
            len(positions) / samples,
        )
        for positions in (torch.arange(middle, device=device), torch.arange(middle, samples, device=device))
    ]
