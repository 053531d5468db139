"""A case that is out of memory is tried once more, its steps in two halves whose gradients are added up."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from contextvars import ContextVar
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from tlbench.errors import TlbenchError
from tlbench.methods.base import Phase
from tlbench.terms import SPLITS, Step

if TYPE_CHECKING:
    from tlbench.engine.measurement import Measurement

is_accumulating: ContextVar[bool] = ContextVar("in_halves", default=False)
"""Whether steps are made in two halves now."""

NOTE = (
    "batch halved: out of memory; two halves are accumulated, and what a loss measures over a batch "
    "(statistics, distances) it measures over each half"
)


def retry_accumulated(work: Callable[[], Measurement], trained: bool, device: torch.device) -> Measurement:
    """What `work` measures; where memory does not suffice it is done once more, in halves.

    A mean over the rows of a batch has the same gradient in halves, but for rounding.

    Raises:
        TlbenchError: out of memory, and halves do not help or have no meaning.
    """
    try:
        return work()
    except (MemoryError, RuntimeError) as error:
        if not is_out_of_memory(error):
            raise
        said = " ".join(str(error).split())[:200]
    # here, for the error above holds on to all that was in memory
    if not trained:
        raise TlbenchError(f"out of memory, and a method in closed form takes all its rows at once: {said}")
    if device.type == "cuda":
        torch.cuda.empty_cache()
    token = is_accumulating.set(True)
    try:
        measured = work()
    except (MemoryError, RuntimeError) as error:
        if not is_out_of_memory(error):
            raise
        raise TlbenchError(f"out of memory, with half the batch too; lower train.batch: {said}") from error
    finally:
        is_accumulating.reset(token)
    return dataclasses.replace(measured, notes=(*measured.notes, NOTE))


def is_out_of_memory(error: Exception) -> bool:
    """Whether an error says that memory does not suffice, on a GPU or on the host."""
    if isinstance(error, MemoryError | torch.OutOfMemoryError):
        return True
    return isinstance(error, RuntimeError) and "DefaultCPUAllocator" in str(error)


def backward_accumulated(phase: Phase, step: Step) -> Tensor:
    """Gradients of a step, made in two halves; the loss of the whole, without a graph.

    Raises:
        TlbenchError: the phase is a game of several updates or combines the gradients of several losses: neither is the sum
            of its halves.
    """
    if isinstance(phase.loss, tuple):
        raise TlbenchError("out of memory; its step is a game of several updates, which has no halves; lower train.batch")
    if phase.combine is not None:
        raise TlbenchError("out of memory; it combines the gradients of several losses, which has no halves; lower train.batch")
    assert phase.loss is not None  # a phase without a loss has no steps
    total: Tensor | None = None
    for half, share in split_step(step):
        loss = phase.loss(half)
        assert isinstance(loss, Tensor)  # several losses need `combine`
        (loss * share).backward()
        total = loss.detach() * share if total is None else total + loss.detach() * share
    assert total is not None
    return total


def split_step(step: Step) -> list[tuple[Step, float]]:
    """The two halves of a step and each one's share of the rows."""
    parts = {name: part for name in SPLITS if (part := getattr(step, name)) is not None}
    rows = max(len(part) for part in parts.values())
    cut = rows // 2
    some = next(iter(step.indices.values()))
    first, second = torch.arange(cut, device=some.device), torch.arange(cut, rows, device=some.device)
    return [
        (
            Step(
                **{name: part[at] for name, part in parts.items()},
                indices={name: numbers[at] for name, numbers in step.indices.items()},
                progress=step.progress,
            ),
            len(at) / rows,
        )
        for at in (first, second)
    ]
