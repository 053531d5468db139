"""A pool whose cases end at once without being run."""

from __future__ import annotations

import random

from tiny_suite import record

from tlbench import runner
from tlbench.runner.pools.protocol import Ended, Lost
from tlbench.terms import Cost, Machine

GIB = 2**30
PEAKS = {"source_only": 3 * GIB, "coral": 5 * GIB}
"""The peak memory of a case, by method entry."""


class FakePool:
    """A pool whose cases end at once, in an order that a seed decides; a worker may die instead.

    Args:
        plan: the plan whose cases come.
        slots: the number of slots.
        death_rate: the probability that a case's worker dies.
        rate: samples per second of a case, given its method entry and the number of running cases.
        concurrent_cases: what records say of their device.
    """

    def __init__(
        self,
        plan: runner.RunPlan,
        slots: int,
        *,
        death_rate: float,
        rate=lambda entry, running: None,
        concurrent_cases: int = 1,
    ) -> None:
        self.plan, self.slots, self.death_rate, self.rate = plan, slots, death_rate, rate
        self.concurrent_cases = concurrent_cases
        self.busy: dict[int, object] = {}
        self.random, self.max_busy, self.closed = random.Random(0), 0, False

    def size(self):
        return self.slots

    def idle(self):
        return [slot for slot in range(self.slots) if slot not in self.busy]

    def start(self, slot, job):
        self.busy[slot] = job
        self.max_busy = max(self.max_busy, len(self.busy))

    def wait(self, seconds, on_message):
        slot = self.random.choice(sorted(self.busy))
        job = self.busy.pop(slot)
        if self.random.random() < self.death_rate:
            on_message(Lost(slot, "A node was removed."))
            return
        rate = self.rate(job.case.entry, len(self.busy) + 1)
        cost = Cost(peak_reserved_bytes=PEAKS.get(job.case.entry), train_samples_per_second=rate)
        machine = Machine(device="gpu", torch="2", concurrent_cases=self.concurrent_cases)
        facts = {**record(job.case.seed, machine=machine).model_dump(by_alias=True), **job.case.model_dump()}
        on_message(Ended(slot, type(record())(**{**facts, "identity": job.identity, "cost": cost})))

    def stop(self, slot):
        self.busy.pop(slot)

    def close(self):
        self.closed = True
