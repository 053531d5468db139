"""Cases one after the other in this process."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from pathlib import Path

import torch

from tlbench import engine, records
from tlbench.engine.train import OnStep
from tlbench.runner import Plan
from tlbench.suite import Suite
from tlbench.terms import Case, Record


def run(
    plan: Plan, results: Path, device: torch.device, on_case: Callable[[Case], OnStep | None] = lambda case: None
) -> Iterator[Record]:
    """Run what a plan has left; each record is on the disk before it is given out and before the next case starts.

    Args:
        plan: from `runner.plan`.
        results: the results directory; `records.prepare` has made it ready.
        device: where to run.
        on_case: told of a case before it starts; may give a function that is told (steps done, steps in all).

    Raises:
        TlbenchError: a record can't be written.
    """
    for case in plan.todo:
        record = engine.run(case, plan.suite, plan.domains, device, on_case(case))
        records.append(results, record)
        yield record


def probe(plan: Plan, device: torch.device, steps: int = 12) -> list[Record]:
    """One very short case of each trained row left without records, scaled up to the suite's budget: for `--plan` alone.

    The records are estimates: they go into no file and no table.
    """
    short = plan.suite.train.model_copy(update={"steps": min(steps, plan.suite.train.steps), "trace": 0})
    suite = Suite(**{**vars(plan.suite), "train": short})
    seen = {record.row for record in plan.earlier}
    estimates = []
    for case in {case.row: case for case in reversed(plan.todo)}.values():
        if case.row in seen:
            continue
        record = engine.run(case, suite, plan.domains, device)
        if record.status == "done" and record.cost.steps and record.cost.train_seconds:
            estimates.append(_scaled(record, plan.suite.train.steps / short.steps))
    return estimates


def _scaled(record: Record, factor: float) -> Record:
    longer = (record.cost.train_seconds or 0.0) * (factor - 1)
    finished = datetime.fromisoformat(record.finished) + timedelta(seconds=longer)
    return record.model_copy(update={"finished": finished.isoformat()})
