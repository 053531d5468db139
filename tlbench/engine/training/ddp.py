"""One case on several devices: each process holds the whole network and a share of every batch; torch's own DDP averages.

The draws are those of one device: each process takes its columns of the same batches, so that the effective batch and its rows
are the same. Where a loss is a mean over rows the gradients are the same up to rounding; statistics of a batch (batch
normalisation, covariances, kernels between rows) are those of each share.
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

PATIENCE = datetime.timedelta(minutes=10)
"""How long a process waits for the others: longer than any pass between two steps, shorter than a night."""


@dataclass(frozen=True)
class DeviceShare:
    """Which of `world` processes this is."""

    rank: int
    world: int


_share: DeviceShare | None = None


@contextmanager
def process_group(rank: int, world: int, meeting: Path, device: torch.device) -> Iterator[None]:
    """This process is one of `world` that train each case together, inside.

    Args:
        rank: which one, from 0.
        world: how many there are.
        meeting: a file that is not there yet, in a folder that all of them see.
        device: of this process; GPUs talk through NCCL, processors through Gloo.
    """
    global _share
    on_gpu = device.type == "cuda"
    if on_gpu:
        torch.cuda.set_device(device)
    torch.distributed.init_process_group(
        "nccl" if on_gpu else "gloo",
        init_method=f"file://{meeting.absolute()}",
        rank=rank,
        world_size=world,
        timeout=PATIENCE,
        device_id=device if on_gpu else None,
    )
    _share = DeviceShare(rank, world)
    try:
        yield
    finally:
        _share = None
        torch.distributed.destroy_process_group()


def current_share() -> DeviceShare | None:
    """The share of this process, inside `joined`."""
    return _share


def check(batch: int) -> None:
    """Raise TlbenchError where a batch can't be shared out evenly."""
    if _share is not None and batch % _share.world:
        raise TlbenchError(
            f"train.batch = {batch} can't be shared by {_share.world} devices; give a batch that {_share.world} divides"
        )


def own_columns(rows: Tensor) -> Tensor:
    """The columns of row numbers (steps, batch) that this process draws."""
    return rows if _share is None else rows.chunk(_share.world, dim=1)[_share.rank].contiguous()


def average_over_devices(losses: Tensor) -> Tensor:
    """Losses (steps, ...) as their mean over the processes, in place: all of them see the same, and stop alike."""
    if _share is not None:
        torch.distributed.all_reduce(losses)
        losses.div_(_share.world)
    return losses


def data_parallel_phase(
    method: DeepMethod, phase: Phase, rates: PhaseOptimizer, steps: int, note: Callable[[str], None]
) -> Phase:
    """The phase with a loss whose gradients are averaged over the processes.

    Raises:
        TlbenchError: the phase has no single loss, or opens layers on the way: its gradients can't be averaged by DDP.
    """
    if _share is None or phase.loss is None:
        return phase
    why = None
    if isinstance(phase.loss, tuple):
        why = "its step is a game of several turns"
    elif phase.combine is not None:
        why = "it takes a gradient of each loss"
    elif rates.table(steps) is None:
        why = "layers are opened or frozen on the way"
    if why is not None:
        raise TlbenchError(
            f"{type(method).__name__.lower()} can't be trained on several devices: {why}; run it without --devices"
        )
    rates.set(0.0)  # what is frozen takes no part
    note(f"{_share.world} devices, each with its share of every batch; statistics of a batch are those of a share")
    parallel = DistributedDataParallel(_Loss(method, phase.loss), find_unused_parameters=True)  # type: ignore[arg-type]
    return replace(phase, loss=lambda step: parallel(step))


class _Loss(nn.Module):
    """A loss as a module, which is what DDP knows."""

    def __init__(self, method: DeepMethod, loss: Callable[[Step], Tensor]) -> None:
        super().__init__()
        self.method = method
        self._loss = loss

    def forward(self, step: Any) -> Tensor:
        """The loss of a step."""
        return self._loss(step)
