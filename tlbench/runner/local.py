"""Cases one after the other in this process, and the short probes of `--plan`."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime, timedelta
from pathlib import Path

import torch

from tlbench import engine
from tlbench.errors import TlbenchError
from tlbench.runner import RunPlan
from tlbench.runner.checkpoint_files import checkpoint_folder
from tlbench.runner.pools.protocol import Ended, Lost, Message, Stepped
from tlbench.runner.scheduler import run_plan
from tlbench.runner.worker import NO_LIMITS, Job, Limits, Worker
from tlbench.suite import Suite
from tlbench.terms import Record


class LocalPool:
    """A pool of one place: this process. `wait` runs the case that was started, to its end."""

    def __init__(self, worker: Worker) -> None:
        self._worker = worker
        self._job: Job | None = None

    def size(self) -> int:
        """One."""
        return 1

    def idle(self) -> Sequence[int]:
        """Place 0, between two cases."""
        return [0] if self._job is None else []

    def start(self, place: int, job: Job) -> None:
        """Remember the job for `wait`."""
        self._job = job

    def wait(self, seconds: float, tell: Callable[[Message], None]) -> None:
        """Run the job that was started; without one, wait."""
        job, self._job = self._job, None
        if job is None:
            threading.Event().wait(seconds)
            return
        try:
            record = self._worker.run(job, lambda done, total: tell(Stepped(0, done, total)))
        except TlbenchError as error:
            tell(Lost(0, str(error), retryable=False))
        else:
            tell(Ended(0, record))  # what goes wrong with the record is no fault of the place

    def stop(self, place: int) -> None:
        """Nothing runs outside `wait`."""

    def close(self) -> None:
        """Nothing runs outside `wait`."""


def run(plan: RunPlan, results: Path, device: torch.device, *, limits: Limits = NO_LIMITS) -> Iterator[Record]:
    """Run what a plan has left in this process; see `schedule.drive`."""
    return run_plan(plan, results, local_pool(plan, device, limits, results), device=device, limits=limits)


def local_pool(plan: RunPlan, device: torch.device, limits: Limits = NO_LIMITS, results: Path | None = None) -> LocalPool:
    """This process as a pool for a plan, with the domains that are loaded already; checkpoints lie below `results`."""
    work = plan.worker_setup(limits, checkpoints=None if results is None else checkpoint_folder(results, plan.suite.name))
    return LocalPool(Worker(work, str(device), dict(plan.domains)))


def probe(plan: RunPlan, device: torch.device, steps: int = 12) -> list[Record]:
    """One very short case of each trained row left without records, scaled up to the suite's budget: for `--plan` alone.

    The records are estimates: they go into no file and no table.
    """
    short = plan.suite.train.model_copy(update={"steps": min(steps, plan.suite.train.steps), "trace": 0})
    suite = Suite(**{**vars(plan.suite), "train": short})
    seen = {record.entry for record in plan.earlier_records}
    estimates = []
    for case in {case.entry: case for case in reversed(plan.pending)}.values():
        if case.entry in seen:
            continue
        record = engine.run_case(case, suite, plan.domains, device)
        if record.status == "done" and record.cost.steps and record.cost.train_seconds:
            estimates.append(_scaled(record, plan.suite.train.steps / short.steps))
    return estimates


def _scaled(record: Record, factor: float) -> Record:
    longer = (record.cost.train_seconds or 0.0) * (factor - 1)
    finished = datetime.fromisoformat(record.finished) + timedelta(seconds=longer)
    return record.model_copy(update={"finished": finished.isoformat()})
