"""Several cases at once on a GPU: as many as its memory holds, and as few as it takes to be faster than one alone.

The first case of each row runs alone, and shows what it needs and how fast it is. Then there are as many places as the memory
holds for the largest need. Cases that run beside others are held against those alone: where all places together are not
faster by `GAIN`, their number is halved, until they are or until one is left.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Iterable, Sequence

import torch

from tlbench.runner.pools.protocol import Message, Pool, Stepped
from tlbench.runner.worker import Job
from tlbench.terms import Record

OVERHEAD_BYTES = 2**30
"""What a process takes on a GPU beside the memory of its case: context, kernels, libraries."""
USED = 0.9
"""The share of the free memory that is given away; the rest is for what is cut into pieces and for what others do."""
GAIN = 1.1
"""All places of a GPU together train at least this many times as fast as one case alone, or there are fewer."""


def free_bytes(device: str) -> int:
    """The memory of a GPU that nobody has taken."""
    return torch.cuda.mem_get_info(device)[0]


def workers_that_fit(free: int, peak: int) -> int:
    """How many cases of a peak fit into so many free bytes, one at least."""
    return max(math.floor(USED * free / (peak + OVERHEAD_BYTES)), 1)


def peak_bytes(record: Record) -> int | None:
    """The most bytes that a case held on its GPU; None where it was not measured."""
    return record.cost.peak_reserved_bytes or record.cost.peak_memory_bytes


def single_worker_rate(record: Record) -> bool:
    """Whether a case had its GPU to itself, and its rate is that of one seed."""
    return record.machine.concurrent_cases == 1 and not any("seeds trained together" in note for note in record.notes)


class AdaptivePool:
    """A pool that begins with one place on each device and is made anew with others, by what its cases showed.

    It is made anew when none of its cases runs, so that each record was made beside as many others as it says.

    Args:
        devices: the GPUs.
        most: no more places than this.
        make: given the devices of the places, a device named twice for two, the pool.
        rows: the method rows whose cases will come.
        known: finished cases on a GPU of the same kind: rows that ran alone there need no first case.
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
        self._alone: dict[str, list[float]] = {}
        """Row -> training rates of its cases that ran alone."""
        for record in filter(single_worker_rate, known):
            self._learn(record.entry, record)
        self._running: dict[int, tuple[str, bool]] = {}
        """Place -> row, and whether every other place was busy when the case began."""
        self._shares: list[float] = []
        """Rates beside others as shares of those alone; of the places that there are now."""
        self._grown = self._settled = False
        self._wanted: list[str] | None = None
        """The devices of the places, where there are to be others."""
        self._places = self._devices
        self._grow()
        self._places, self._wanted = self._wanted or self._places, None
        self._pool = make(self._places)

    def size(self) -> int:
        """The most places that there may be, until it is known how many fit."""
        return self._pool.size() if self._grown else self._most

    def idle(self) -> Sequence[int]:
        """Places without a case; none while the pool is to be made anew and some still run."""
        self._grow()
        if self._wanted is not None:
            if self._running:
                return []
            self._pool.close()
            self._places, self._wanted, self._shares = self._wanted, None, []
            self._pool = self._make(self._places)
        return self._pool.idle()

    def start(self, place: int, job: Job) -> None:
        """Give a job to a place."""
        self._running[place] = job.case.entry, len(self._running) + 1 == len(self._places)
        self._pool.start(place, job)

    def wait(self, seconds: float, tell: Callable[[Message], None]) -> None:
        """Hear what comes in, and learn from it."""

        def hear(message: Message) -> None:
            if not isinstance(message, Stepped):
                row, beside_all = self._running.pop(message.slot)
                record = getattr(message, "record", None)
                if not self._grown:
                    self._learn(row, record)
                elif record is not None and beside_all:
                    self._judge(record)
            tell(message)

        self._pool.wait(seconds, hear)

    def stop(self, place: int) -> None:
        """End what a place runs."""
        row, _ = self._running.pop(place, ("", False))
        self._unseen.discard(row)
        self._pool.stop(place)

    def close(self) -> None:
        """End all."""
        self._pool.close()

    def _learn(self, row: str, record: Record | None) -> None:
        """What a case shows that ran alone; nothing, where it died."""
        self._unseen.discard(row)
        if record is not None:
            self._peak = max(self._peak, peak_bytes(record) or 0)
            if record.cost.train_samples_per_second:
                self._alone.setdefault(row, []).append(record.cost.train_samples_per_second)

    def _grow(self) -> None:
        """Once every row is known: as many places as fit."""
        if self._grown or self._unseen:
            return
        each = workers_that_fit(self._free, self._peak)
        self._wanted = [device for _ in range(each) for device in self._devices][: self._most]
        self._grown, self._settled = True, len(self._wanted) <= len(self._devices)

    def _judge(self, record: Record) -> None:
        """Hold a case that ran beside others against those alone; after one for each place, decide."""
        rate, rates_alone = record.cost.train_samples_per_second, self._alone.get(record.entry)
        if self._settled or self._wanted is not None or not rate or not rates_alone:
            return
        self._shares.append(rate / statistics.median(rates_alone))
        if len(self._shares) < len(self._places):
            return
        places = len(self._places) / len(self._devices)
        if places * statistics.fmean(self._shares) >= GAIN:
            self._settled = True
            return
        self._wanted = self._places[: max(len(self._places) // 2, len(self._devices))]
        self._settled = len(self._wanted) <= len(self._devices)
