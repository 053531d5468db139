"""A pool of several cases at once on each GPU: as many as fit in its memory, and no more than make the GPU faster.

The first case of each method entry runs alone, which measures its peak memory and its training rate. Then there are as many
slots as fit for the largest peak. The rates of cases that run beside others are compared with those of cases that ran alone:
while all slots of a GPU together are not `MIN_SPEEDUP` times as fast as one, their number is halved.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Iterable, Sequence

import torch

from tlbench import engine
from tlbench.runner.pools.protocol import Begun, Message, OnMessage, Pool, Stepped
from tlbench.runner.worker import Job
from tlbench.terms import Record

OVERHEAD_BYTES = 2**30
"""GPU memory of a process besides that of its case: CUDA context, kernels, libraries."""
USABLE_SHARE = 0.9
"""The share of the free memory that is planned for; the rest allows for fragmentation and other processes."""
MIN_SPEEDUP = 1.1
"""All slots of a GPU together train at least this many times as fast as one case alone, or their number is halved."""


def free_memory_bytes(device: str) -> int:
    """The free memory of a GPU."""
    return torch.cuda.mem_get_info(device)[0]


def workers_that_fit(free_bytes: int, peak_bytes: int) -> int:
    """The number of cases of a peak memory that fit into the free memory, one at least."""
    return max(math.floor(USABLE_SHARE * free_bytes / (peak_bytes + OVERHEAD_BYTES)), 1)


def peak_memory_bytes(record: Record) -> int | None:
    """The peak GPU memory of a case, as reserved by torch's allocator; None where it was not measured."""
    return record.cost.peak_reserved_bytes or record.cost.peak_memory_bytes


def ran_alone(record: Record) -> bool:
    """Whether a case had its device to itself, and its training rate is that of one seed."""
    return record.machine.concurrent_cases == 1 and not engine.is_vmapped(record)


class AdaptivePool:
    """A pool that starts with one slot on each device, and is recreated with another number of slots by what it measures.

    It is recreated only while none of its cases runs, so that each record states the number of cases it ran beside.

    Args:
        devices: the GPUs.
        max_workers: the largest number of slots.
        create_pool: creates the pool of given slots; a device that is named twice has two.
        entries: the method entries whose cases will run.
        records: finished cases on a GPU of the same kind: entries that ran alone there are not measured again.
        free_memory: returns the free bytes of a device; called before the first pool is created.
    """

    def __init__(
        self,
        devices: Sequence[str],
        max_workers: int,
        create_pool: Callable[[Sequence[str]], Pool],
        entries: Iterable[str],
        records: Iterable[Record] = (),
        free_memory: Callable[[str], int] = free_memory_bytes,
    ) -> None:
        self._devices, self._max_workers, self._create_pool = list(devices), max_workers, create_pool
        self._free_bytes = min(map(free_memory, devices))
        self._unmeasured, self._peak_bytes = set(entries), 0
        self._rates_alone: dict[str, list[float]] = {}
        """Training rates of cases that ran alone, by method entry, in samples per second."""
        for record in filter(ran_alone, records):
            self._measure(record.entry, record)
        self._running: dict[int, tuple[str, bool]] = {}
        """By slot: the method entry, and whether all other slots were busy when the case started."""
        self._relative_rates: list[float] = []
        """Training rates beside others, divided by those alone, with the present number of slots."""
        self._grown = self._settled = False
        self._next_slots: list[str] | None = None
        """The devices of the next pool's slots, where the pool is to be recreated."""
        self._slots = self._devices
        self._grow()
        self._slots, self._next_slots = self._next_slots or self._slots, None
        self._pool = create_pool(self._slots)

    def size(self) -> int:
        """The number of slots; until it is known how many fit, the largest number that there may be."""
        return self._pool.size() if self._grown else self._max_workers

    def idle(self) -> Sequence[int]:
        """The slots without a job; none while the pool is to be recreated and jobs still run."""
        self._grow()
        if self._next_slots is not None:
            if self._running:
                return []
            self._pool.close()
            self._slots, self._next_slots, self._relative_rates = self._next_slots, None, []
            self._pool = self._create_pool(self._slots)
        return self._pool.idle()

    def start(self, slot: int, job: Job) -> None:
        """Start a job in a slot."""
        self._running[slot] = job.case.entry, len(self._running) + 1 == len(self._slots)
        self._pool.start(slot, job)

    def wait(self, seconds: float, on_message: OnMessage) -> None:
        """Pass on messages, and measure the cases that end."""

        def measure_and_pass_on(message: Message) -> None:
            if not isinstance(message, Begun | Stepped):
                entry, beside_all = self._running.pop(message.slot)
                record = getattr(message, "record", None)
                if not self._grown:
                    self._measure(entry, record)
                elif record is not None and beside_all:
                    self._compare(record)
            on_message(message)

        self._pool.wait(seconds, measure_and_pass_on)

    def stop(self, slot: int) -> None:
        """Kill the job of a slot."""
        entry, _ = self._running.pop(slot, ("", False))
        self._unmeasured.discard(entry)
        self._pool.stop(slot)

    def close(self) -> None:
        """Stop all slots."""
        self._pool.close()

    def _measure(self, entry: str, record: Record | None) -> None:
        """Take the peak memory and the rate of a case that ran alone; None: its worker died."""
        self._unmeasured.discard(entry)
        if record is not None:
            self._peak_bytes = max(self._peak_bytes, peak_memory_bytes(record) or 0)
            if record.cost.train_samples_per_second:
                self._rates_alone.setdefault(entry, []).append(record.cost.train_samples_per_second)

    def _grow(self) -> None:
        """Plan as many slots as fit, once every method entry is measured."""
        if self._grown or self._unmeasured:
            return
        per_device = workers_that_fit(self._free_bytes, self._peak_bytes)
        self._next_slots = [device for _ in range(per_device) for device in self._devices][: self._max_workers]
        self._grown, self._settled = True, len(self._next_slots) <= len(self._devices)

    def _compare(self, record: Record) -> None:
        """Compare a case that ran beside others with those that ran alone; after one case for each slot, decide."""
        rate, rates_alone = record.cost.train_samples_per_second, self._rates_alone.get(record.entry)
        if self._settled or self._next_slots is not None or not rate or not rates_alone:
            return
        self._relative_rates.append(rate / statistics.median(rates_alone))
        if len(self._relative_rates) < len(self._slots):
            return
        slots_per_device = len(self._slots) / len(self._devices)
        if slots_per_device * statistics.fmean(self._relative_rates) >= MIN_SPEEDUP:
            self._settled = True
            return
        self._next_slots = self._slots[: max(len(self._slots) // 2, len(self._devices))]
        self._settled = len(self._next_slots) <= len(self._devices)
