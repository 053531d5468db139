"""The scheduler: gives pending cases to the worker slots of a pool, longest first, and writes every record itself."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from tlbench import clock, engine, methods, records
from tlbench.runner.case_locks import CaseLocks
from tlbench.runner.checkpoint_files import checkpoint_folder, remove_checkpoint
from tlbench.runner.duration_estimates import CellKey, DurationEstimates
from tlbench.runner.interrupts import StopRequest
from tlbench.runner.plan import RunPlan
from tlbench.runner.pools.protocol import Begun, Ended, Message, Pool, Stepped
from tlbench.runner.time_limit import TIMEOUT_REASON
from tlbench.runner.worker import NO_LIMITS, Job, Limits
from tlbench.terms import Case, Record

CPU = torch.device("cpu")

GRACE_SECONDS = 10.0
"""How long past its time limit a case may run before its slot is stopped: the worker's own alarm should come first."""
POLL_SECONDS = 0.5
"""The interval at which the scheduler looks at time limits and at what other runs on the directory have written."""


@dataclass(frozen=True)
class Started:
    """A case starts in a worker slot; `attempt` counts from 1."""

    case: Case
    slot: int
    attempt: int


@dataclass(frozen=True)
class Progressed:
    """A running case has done `done` of `total` training steps."""

    case: Case
    slot: int
    done: int
    total: int


@dataclass(frozen=True)
class Retried:
    """The worker of a case died, for `reason`; the case is queued again."""

    case: Case
    reason: str


@dataclass(frozen=True)
class Finished:
    """A case has its record, and the record is on the disk."""

    record: Record
    elsewhere: bool
    """Whether another run on the same directory wrote the record."""
    remaining: int
    """The number of cases without a record."""
    remaining_seconds: float | None
    """Their estimated duration; None while no case has finished."""


Event = Started | Progressed | Retried | Finished
"""The events that `run_plan` reports; it also yields the record of each Finished."""


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
    """Run the pending cases of a plan in the slots of a pool; each record is on the disk before it is yielded.

    The case of the longest estimated duration starts first, so that no long case starts last; with one slot the order of the
    suite is kept. The pool is closed in the end, also after an error.

    Args:
        plan: from `plan_run`.
        results: the results directory; `records.prepare` has been called for it.
        pool: runs the cases.
        device: stated on the `failed` record of a case whose worker died.
        limits: time limit and attempts of a case.
        on_event: called with each event.
        stop: once `stop.asked` is set, no further case starts.

    Raises:
        TlbenchError: a record can't be written, or no worker can start.
    """
    scheduler = _Scheduler(plan, results, pool, device, limits, on_event, stop or StopRequest())
    try:
        yield from scheduler.run()
    finally:
        pool.close()
        scheduler.locks.close()


class _Scheduler:
    """The state of one run: queued jobs, running jobs, and records to be yielded."""

    def __init__(
        self,
        plan: RunPlan,
        results: Path,
        pool: Pool,
        device: torch.device,
        limits: Limits,
        on_event: Callable[[Event], None],
        stop: StopRequest,
    ) -> None:
        self.plan, self.pool, self.device = plan, pool, device
        self.limits, self.on_event, self.stop = limits, on_event, stop
        self.log = plan.log or records.ResultsLog(results, plan.suite.name)
        self.locks = CaseLocks(results / plan.suite.name)
        self.checkpoints = checkpoint_folder(results, plan.suite.name)
        for record in plan.on_file:
            remove_checkpoint(self.checkpoints, record)  # left by a run that was killed between record and removal
        self.estimates = DurationEstimates(plan.earlier_records)
        self.queue = plan.jobs()
        self.remaining = Counter(_cell(job) for job in self.queue)
        self.running: dict[int, Job] = {}
        """The running job of each busy slot."""
        self.deadlines: dict[int, float] = {}
        """When a slot is stopped, by the seconds of the clock; a case has none before it begins in a worker that is ready."""
        self.third_party: dict[int, str] = {}
        """The third-party method that has run in a slot: its process runs no other method's case."""
        self.unyielded: list[Record] = []
        self._sort_queue()

    def run(self) -> Iterator[Record]:
        """Run all queued jobs; yield their records as they are written."""
        while self.running or (self.queue and not self.stop.asked):
            if not self.stop.asked:
                self._fill_slots()
            if self.running or (self.queue and not self.unyielded):
                self.pool.wait(POLL_SECONDS, self._handle)
            self._stop_overdue()
            while self.unyielded:
                yield self.unyielded.pop(0)

    def _sort_queue(self) -> None:
        if self.pool.size() > 1:
            self.queue = [self.queue[i] for i in self.estimates.longest_first([job.case for job in self.queue])]

    def _fill_slots(self) -> None:
        for slot in self.pool.idle():
            job = self._next_job(self.third_party.get(slot))
            if job is None and slot in self.third_party and self.queue:
                self.pool.stop(slot)  # a new process takes the slot, and its next case once it is ready
                del self.third_party[slot]
                if slot not in self.pool.idle():
                    continue
                job = self._next_job()
            if job is None:
                return
            if methods.is_third_party(job.case.method):
                self.third_party[slot] = job.case.method
            self.running[slot] = job
            self.on_event(Started(job.case, slot, job.attempt))
            self.pool.start(slot, replace(job, siblings=self._siblings(job)))

    def _next_job(self, method: str | None = None) -> Job | None:
        """Take the first queued job, of a method where one is given, that no other run has locked or finished."""
        position = 0
        while position < len(self.queue):
            job = self.queue[position]
            if (method is not None and job.case.method != method) or not self.locks.acquire(job.identity):
                position += 1
                continue
            del self.queue[position]
            record = self.log.record_of_other_run(job.case.entry, job.identity)
            if record is None:
                return job
            self._finish(job, record, elsewhere=True)
        return None

    def _siblings(self, job: Job) -> tuple[Case, ...]:
        """The queued cases whose seeds may be vmapped with a job: only with a single slot do all seeds of a cell meet."""
        if self.pool.size() != 1 or self.plan.suite.train.vmap_seeds == "off":
            return ()
        seedless = job.case.model_copy(update={"seed": 0})
        return tuple(other.case for other in self.queue if other.case.model_copy(update={"seed": 0}) == seedless)

    def _handle(self, message: Message) -> None:
        job = self.running[message.slot]
        if isinstance(message, Stepped):
            self.on_event(Progressed(job.case, message.slot, message.done, message.total))
            return
        if isinstance(message, Begun):
            if self.limits.timeout_seconds is not None:
                self.deadlines[message.slot] = clock.seconds() + self.limits.timeout_seconds + GRACE_SECONDS
            return
        del self.running[message.slot]
        self.deadlines.pop(message.slot, None)
        if isinstance(message, Ended):
            self._write(job, message.record)
            return
        if message.retryable:
            self.third_party.pop(message.slot, None)  # the pool has restarted the slot
        if message.retryable and job.attempt < self.limits.attempts:
            self.on_event(Retried(job.case, message.reason))
            self.queue.insert(0, replace(job, attempt=job.attempt + 1))
        else:
            attempts = f" The case was tried {job.attempt} times." if job.attempt > 1 else ""
            self._fail(job, f"{message.reason}{attempts}")

    def _stop_overdue(self) -> None:
        for slot, deadline in list(self.deadlines.items()):
            if clock.seconds() > deadline:
                self.pool.stop(slot)
                self.third_party.pop(slot, None)
                del self.deadlines[slot]
                reason = f"{TIMEOUT_REASON} {self.limits.timeout_seconds:g} s, and its worker was killed."
                self._fail(self.running.pop(slot), reason)

    def _fail(self, job: Job, reason: str) -> None:
        fingerprints = self.plan.worker_setup().fingerprints_of(job.case)
        self._write(job, engine.failed_record(job.case, self.plan.suite, fingerprints, self.device, reason))

    def _write(self, job: Job, record: Record) -> None:
        written = self.log.append(record)
        if self.estimates.update(written):
            self._sort_queue()
        self._finish(job, written, elsewhere=written is not record)

    def _finish(self, job: Job, record: Record, *, elsewhere: bool) -> None:
        remove_checkpoint(self.checkpoints, record)
        self.locks.release(job.identity)
        self.remaining[_cell(job)] -= 1
        self.unyielded.append(record)
        remaining_seconds = self.estimates.wall_seconds(self.remaining, self.pool.size())
        self.on_event(Finished(record, elsewhere, self.remaining.total(), remaining_seconds))


def _cell(job: Job) -> CellKey:
    return CellKey(job.case.entry, job.case.pair)
