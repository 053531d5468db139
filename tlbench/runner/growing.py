"""As many cases at once on a GPU as its memory holds, by what the first case of each row has needed there."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence

import torch

from tlbench.runner.pools import Message, Pool, Stepped
from tlbench.runner.work import Job
from tlbench.terms import Record

OVERHEAD_BYTES = 2**30
"""What a process takes on a GPU beside the memory of its case: context, kernels, libraries."""
USED = 0.9
"""The share of the free memory that is given away; the rest is for what is cut into pieces and for what others do."""


def free_bytes(device: str) -> int:
    """The memory of a GPU that nobody has taken."""
    return torch.cuda.mem_get_info(device)[0]


def fitting(free: int, peak: int) -> int:
    """How many cases of a peak fit into so many free bytes, one at least."""
    return max(math.floor(USED * free / (peak + OVERHEAD_BYTES)), 1)


def peak(record: Record) -> int | None:
    """The most bytes that a case held on its GPU; None where it was not measured."""
    return record.cost.peak_reserved_bytes or record.cost.peak_memory_bytes


class Growing:
    """A pool that begins with one place on each device, and is made anew with as many as fit once every row is known.

    Args:
        devices: the GPUs.
        most: no more places than this.
        make: given the devices of the places, a device named twice for two, the pool.
        rows: the method rows whose cases will come.
        known: finished cases on a GPU of the same kind: their rows need no first case.
        free: bytes of a device that nobody has taken; asked before the first place is made.
    """

    def __init__(
        self,
        devices: Sequence[str],
        most: int,
        make: Callable[[Sequence[str]], Pool],
        rows: Iterable[str],
        known: Iterable[Record] = (),
        free: Callable[[str], int] = free_bytes,
    ) -> None:
        self._devices, self._most, self._make = list(devices), most, make
        self._free = min(map(free, devices))
        self._unseen, self._peak = set(rows), 0
        for record in known:
            self._learn(record.row, record)
        self._running: dict[int, str] = {}
        self._grown = not self._unseen
        self._pool = make(self._wanted() if self._grown else self._devices)

    def size(self) -> int:
        """The most places that there may be, until it is known how many fit."""
        return self._pool.size() if self._grown else self._most

    def idle(self) -> Sequence[int]:
        """Places without a case; once all rows are known, those that run end first, and then there are more."""
        if not self._grown and not self._unseen:
            if self._running:
                return []
            self._pool.close()
            self._pool, self._grown = self._make(self._wanted()), True
        return self._pool.idle()

    def start(self, place: int, job: Job) -> None:
        """Give a job to a place."""
        self._running[place] = job.case.row
        self._pool.start(place, job)

    def wait(self, seconds: float, tell: Callable[[Message], None]) -> None:
        """Hear what comes in, and learn from it."""

        def hear(message: Message) -> None:
            if not isinstance(message, Stepped):
                self._learn(self._running.pop(message.place), getattr(message, "record", None))
            tell(message)

        self._pool.wait(seconds, hear)

    def stop(self, place: int) -> None:
        """End what a place runs."""
        self._unseen.discard(self._running.pop(place, ""))
        self._pool.stop(place)

    def close(self) -> None:
        """End all."""
        self._pool.close()

    def _learn(self, row: str, record: Record | None) -> None:
        self._unseen.discard(row)
        if record is not None:
            self._peak = max(self._peak, peak(record) or 0)

    def _wanted(self) -> list[str]:
        each = fitting(self._free, self._peak)
        return [device for _ in range(each) for device in self._devices][: self._most]
