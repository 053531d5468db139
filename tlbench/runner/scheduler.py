"""The driver: gives cases to places, longest first, and writes every record. Nobody else writes one."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from tlbench import clock, engine, records
from tlbench.runner import RunPlan
from tlbench.runner.case_locks import CaseLocks
from tlbench.runner.checkpoint_files import checkpoint_folder, drop_checkpoints
from tlbench.runner.duration_estimates import CellKey, DurationEstimates
from tlbench.runner.interrupts import StopRequest
from tlbench.runner.pools.protocol import Ended, Message, Pool, Stepped
from tlbench.runner.time_limit import PAST
from tlbench.runner.worker import NO_LIMITS, Job, Limits
from tlbench.terms import Case, Record

CPU = torch.device("cpu")

GRACE_SECONDS = 10.0
"""How long past its time a case may go on before its place is ended: its own alarm should have rung."""
POLL_SECONDS = 0.5
"""How often the driver looks at time limits, and at what other runs on the directory have done."""


@dataclass(frozen=True)
class Started:
    """A case begins at a place; `attempt` counts from 1."""

    case: Case
    slot: int
    attempt: int


@dataclass(frozen=True)
class Progressed:
    """A running case has made `done` of `total` steps."""

    case: Case
    slot: int
    done: int
    total: int


@dataclass(frozen=True)
class Retried:
    """The place of a case died (`why`); the case waits for another."""

    case: Case
    reason: str


@dataclass(frozen=True)
class Finished:
    """A case has its record, and the record is on the disk."""

    record: Record
    elsewhere: bool
    """Whether another run on the same directory ran the case."""
    remaining: int
    """Cases that have no record yet."""
    remaining_seconds: float | None
    """About how long they take, learnt from finished cases; None where nothing is known yet."""


Event = Started | Progressed | Retried | Finished
"""What `drive` tells; the record of Finished is also what it yields."""


def run_plan(
    plan: RunPlan,
    results: Path,
    pool: Pool,
    *,
    device: torch.device = CPU,
    limits: Limits = NO_LIMITS,
    on_event: Callable[[Event], None] = lambda event: None,
    stop: StopRequest | None = None,
) -> Iterator[Record]:
    """Run what a plan has left at the places of a pool; each record is on the disk before it is given out.

    Places are given the case of the highest estimated cost first, so that no long one starts last; with one place the
    suite's order stays. The pool is closed at the end, whatever ends it.

    Args:
        plan: from `runner.plan`.
        results: the results directory; `records.prepare` has made it ready.
        pool: where cases run.
        device: what the record of a case names whose place died.
        limits: time and attempts of a case.
        tell: told what happens, as it happens.
        stop: once `stop.asked`, no further case starts.

    Raises:
        TlbenchError: a record can't be written.
    """
    driver = _Driver(plan, results, pool, device, limits, on_event, stop or StopRequest())
    try:
        yield from driver.run()
    finally:
        pool.close()
        driver.claims.close()


class _Driver:
    """One run: what waits, what runs where, and what is ready to be given out."""

    def __init__(
        self,
        plan: RunPlan,
        results: Path,
        pool: Pool,
        device: torch.device,
        limits: Limits,
        tell: Callable[[Event], None],
        stop: StopRequest,
    ) -> None:
        self.plan, self.pool, self.device = plan, pool, device
        self.limits, self.tell, self.stop = limits, tell, stop
        self.log = plan.log or records.ResultsLog(results, plan.suite.name)
        self.claims = CaseLocks(results / plan.suite.name)
        self.checkpoints = checkpoint_folder(results, plan.suite.name)
        for record in plan.on_file:
            drop_checkpoints(self.checkpoints, record)  # a run was killed after the line and before this
        self.costs = DurationEstimates(plan.earlier_records)
        self.waiting = plan.jobs()
        self.remaining = Counter(CellKey(job.case.entry, job.case.pair) for job in self.waiting)
        self.running: dict[int, Job] = {}
        self.ends: dict[int, float] = {}
        self.ready: list[Record] = []
        self._sort()

    def run(self) -> Iterator[Record]:
        """Records, as they are written."""
        while self.running or (self.waiting and not self.stop.asked):
            if not self.stop.asked:
                self._give()
            if self.running or (self.waiting and not self.ready):
                self.pool.wait(POLL_SECONDS, self._hear)
            self._end_overdue()
            while self.ready:
                yield self.ready.pop(0)

    def _sort(self) -> None:
        if self.pool.size() > 1:
            self.waiting = [self.waiting[i] for i in self.costs.longest_first([job.case for job in self.waiting])]

    def _give(self) -> None:
        for place in self.pool.idle():
            job = self._next()
            if job is None:
                return
            self.running[place] = job
            if self.limits.timeout_seconds is not None:
                self.ends[place] = clock.seconds() + self.limits.timeout_seconds + GRACE_SECONDS
            self.tell(Started(job.case, place, job.attempt))
            self.pool.start(place, replace(job, siblings=self._siblings(job)))

    def _next(self) -> Job | None:
        """The first waiting job that no other run has or has done."""
        at = 0
        while at < len(self.waiting):
            job = self.waiting[at]
            if not self.claims.take(job.identity):
                at += 1
                continue
            del self.waiting[at]
            record = self.log.since(job.case.entry, job.identity)
            if record is None:
                return job
            self._finish(job, record, elsewhere=True)
        return None

    def _siblings(self, job: Job) -> tuple[Case, ...]:
        """The waiting cases that may be trained along: all seeds of a case go to one place only where there is but one."""
        if self.pool.size() != 1 or self.plan.suite.train.vmap_seeds == "off":
            return ()
        alike = job.case.model_copy(update={"seed": 0})
        return tuple(one.case for one in self.waiting if one.case.model_copy(update={"seed": 0}) == alike)

    def _hear(self, message: Message) -> None:
        job = self.running[message.slot]
        if isinstance(message, Stepped):
            self.tell(Progressed(job.case, message.slot, message.done, message.total))
            return
        del self.running[message.slot]
        self.ends.pop(message.slot, None)
        if isinstance(message, Ended):
            self._keep(job, message.record)
        elif message.retryable and job.attempt < self.limits.attempts:
            self.tell(Retried(job.case, message.reason))
            self.waiting.insert(0, replace(job, attempt=job.attempt + 1))
        else:
            tries = f" (tried {job.attempt} times)" if job.attempt > 1 else ""
            self._fail(job, f"{message.reason}{tries}")

    def _end_overdue(self) -> None:
        for place, end in list(self.ends.items()):
            if clock.seconds() > end:
                self.pool.stop(place)
                del self.ends[place]
                why = f"{PAST} {self.limits.timeout_seconds:g} s, and its worker was ended"
                self._fail(self.running.pop(place), why)

    def _fail(self, job: Job, why: str) -> None:
        pair = self.plan.worker_setup().pair(job.case)
        self._keep(job, engine.failed_record(job.case, self.plan.suite, pair, self.device, why))

    def _keep(self, job: Job, record: Record) -> None:
        written = self.log.append(record)
        if self.costs.learn(written):
            self._sort()
        self._finish(job, written, elsewhere=written is not record)

    def _finish(self, job: Job, record: Record, *, elsewhere: bool) -> None:
        drop_checkpoints(self.checkpoints, record)
        self.claims.drop(job.identity)
        self.remaining[CellKey(job.case.entry, job.case.pair)] -= 1
        self.ready.append(record)
        left = self.remaining.total()
        self.tell(Finished(record, elsewhere, left, self.costs.wall_seconds(self.remaining, self.pool.size())))
