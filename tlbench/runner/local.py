"""Running a plan in this process, and the short probes behind the estimate of `--plan`."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path

import torch

from tlbench import engine
from tlbench.runner.checkpoint_files import checkpoint_folder
from tlbench.runner.plan import RunPlan
from tlbench.runner.pools.local_pool import LocalPool
from tlbench.runner.scheduler import run_plan
from tlbench.runner.worker import NO_LIMITS, Limits, Worker
from tlbench.suite import Suite
from tlbench.terms import Record

PROBE_STEPS = 12
"""Training steps of a probe."""


def run(plan: RunPlan, results: Path, device: torch.device, *, limits: Limits = NO_LIMITS) -> Iterator[Record]:
    """Run the pending cases of a plan in this process; see `scheduler.run_plan`.

    Args:
        plan: the plan to run.
        results: the results directory that records are appended to.
        device: the device of all cases.
        limits: time, threads and checkpoints of a case.
    """
    return run_plan(plan, results, local_pool(plan, device, limits, results), device=device, limits=limits)


def local_pool(plan: RunPlan, device: torch.device, limits: Limits = NO_LIMITS, results: Path | None = None) -> LocalPool:
    """A pool that is this process, with the plan's loaded domains.

    Args:
        plan: the plan to run.
        device: the device of all cases.
        limits: time, threads and checkpoints of a case.
        results: the results directory, below which checkpoints lie; None: no checkpoints are written.
    """
    checkpoints = None if results is None else checkpoint_folder(results, plan.suite.name)
    return LocalPool(Worker(plan.worker_setup(limits, checkpoints=checkpoints), str(device), dict(plan.domains)))


def probe(plan: RunPlan, device: torch.device, steps: int = PROBE_STEPS) -> list[Record]:
    """Run one very short case of each deep method entry without records, with its duration scaled to the suite's budget.

    The records serve the estimate of `--plan` alone: they are written to no file and appear in no table.
    """
    budget = plan.suite.train.steps
    short = plan.suite.train.model_copy(update={"steps": min(steps, budget), "trace": 0})
    suite = Suite(**{**vars(plan.suite), "train": short})
    entries_on_file = {record.entry for record in plan.earlier_records}
    estimates = []
    for case in {case.entry: case for case in reversed(plan.pending)}.values():
        if case.entry in entries_on_file:
            continue
        record = engine.run_case(case, suite, plan.domains, device)
        if record.status == "done" and record.cost.steps and record.cost.train_seconds:
            estimates.append(_scaled(record, budget / short.steps))
    return estimates


def _scaled(record: Record, factor: float) -> Record:
    """A record whose training took `factor` times as long."""
    extra_seconds = (record.cost.train_seconds or 0.0) * (factor - 1)
    finished = datetime.fromisoformat(record.finished) + timedelta(seconds=extra_seconds)
    return record.model_copy(update={"finished": finished.isoformat()})
