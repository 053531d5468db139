"""Data-parallel training of one case on several devices, with torch's DistributedDataParallel.

Each process holds the whole network and takes its columns of the same batch indices, so that all processes together draw the
batches of one device. Where a loss is a mean over samples, gradients are those of one device up to rounding; statistics of a
batch (batch normalisation, covariances, kernels between samples) are those of each process's share.
"""

from __future__ import annotations

import datetime
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
import torch.distributed
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from tlbench.engine.training.optimizer import PhaseOptimizer
from tlbench.errors import TlbenchError
from tlbench.methods.base import DeepMethod, Phase
from tlbench.terms import Step

TIMEOUT = datetime.timedelta(minutes=10)
"""The time that a process waits for the others: longer than any pass between two steps."""


@dataclass(frozen=True)
class DeviceShare:
    """The rank of this process among `world` processes."""

    rank: int
    world: int


_share: DeviceShare | None = None


@contextmanager
def process_group(rank: int, world: int, rendezvous: Path, device: torch.device) -> Iterator[None]:
    """Make this process one of `world` that train each case data-parallel inside the block.

    Args:
        rank: the index of this process, from 0.
        world: the number of processes.
        rendezvous: a file that does not exist yet, in a folder that all processes can reach.
        device: of this process; GPUs communicate through NCCL, CPUs through Gloo.
    """
    global _share
    on_gpu = device.type == "cuda"
    if on_gpu:
        torch.cuda.set_device(device)
    torch.distributed.init_process_group(
        "nccl" if on_gpu else "gloo",
        init_method=f"file://{rendezvous.absolute()}",
        rank=rank,
        world_size=world,
        timeout=TIMEOUT,
        device_id=device if on_gpu else None,
    )
    _share = DeviceShare(rank, world)
    try:
        yield
    finally:
        _share = None
        torch.distributed.destroy_process_group()


def current_share() -> DeviceShare | None:
    """The share of this process inside `process_group`; None outside."""
    return _share


def check_batch(batch_size: int) -> None:
    """Check that a batch can be split evenly over the devices.

    Raises:
        TlbenchError: the batch size is no multiple of the number of devices.
    """
    if _share is not None and batch_size % _share.world:
        raise TlbenchError(
            f"train.batch = {batch_size} can't be split over {_share.world} devices. Use a multiple of {_share.world}."
        )


def own_columns(indices: Tensor) -> Tensor:
    """The columns of the sample indices (steps, batch_size) that this process draws."""
    return indices if _share is None else indices.chunk(_share.world, dim=1)[_share.rank].contiguous()


def average_over_devices(losses: Tensor) -> Tensor:
    """Average losses (steps, ...) over the processes, in place, so that all processes stop at the same step."""
    if _share is not None:
        torch.distributed.all_reduce(losses)
        losses.div_(_share.world)
    return losses


def data_parallel_phase(
    method: DeepMethod, phase: Phase, optimizer: PhaseOptimizer, steps: int, note: Callable[[str], None]
) -> Phase:
    """The phase with a loss whose gradients are averaged over the processes; the same phase outside `process_group`.

    Args:
        method: the method that learns.
        phase: its phase.
        optimizer: the optimizer of the phase.
        steps: number of steps of the phase.
        note: called with a note for the record.

    Raises:
        TlbenchError: the phase has no single loss, or freezes layers in some of its steps only, so that DDP can't average its
            gradients.
    """
    if _share is None or phase.loss is None:
        return phase
    reason = None
    if isinstance(phase.loss, tuple):
        reason = "its steps make alternating updates"
    elif phase.combine is not None:
        reason = "it takes a gradient of each loss"
    elif optimizer.learning_rate_table(steps) is None:
        reason = "its layers are frozen in some steps only"
    if reason is not None:
        raise TlbenchError(
            f"{type(method).__name__.lower()} can't be trained on several devices, for {reason}. Run it without --devices."
        )
    optimizer.set_progress(0.0)  # freezes the layers that DDP must leave out
    note(f"{_share.world} devices, each with its share of every batch; statistics of a batch are those of a share")
    parallel = DistributedDataParallel(_Loss(method, phase.loss), find_unused_parameters=True)  # type: ignore[arg-type]
    return replace(phase, loss=lambda step: parallel(step))


class _Loss(nn.Module):
    """A loss as a module, which DDP needs."""

    def __init__(self, method: DeepMethod, loss: Callable[[Step], Tensor]) -> None:
        super().__init__()
        self.method = method
        self._loss = loss

    def forward(self, step: Any) -> Tensor:
        """The loss of a step."""
        return self._loss(step)
