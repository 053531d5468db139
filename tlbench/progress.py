"""What a person sees while cases run: bars on a terminal, one line per finished case elsewhere."""

from __future__ import annotations

from pathlib import Path

import torch
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from tlbench import clock, runner
from tlbench.engine.train import OnStep
from tlbench.runner import Plan, local
from tlbench.terms import Case, Record


def show(plan: Plan, results: Path, device: torch.device, console: Console | None = None) -> list[Record]:
    """Run what a plan has left and show how it goes on, on standard error."""
    console = console or Console(stderr=True, soft_wrap=True)
    if not plan.todo:
        console.print(f"{plan.suite.name}: nothing to run, {len(plan.kept)} cases are on file", markup=False, highlight=False)
        return []
    return _bars(plan, results, device, console) if console.is_terminal else _lines(plan, results, device, console)


def line_of(record: Record) -> str:
    """A finished case in one line."""
    what = f"{record.row} {record.pair} seed {record.seed}"
    if record.status != "done":
        return f"{record.status}: {what}: {record.why}"
    rate = record.cost.train_samples_per_second
    speed = f"{rate:,.0f} samples/s" if rate else ""
    shown = (record.scores.target_accuracy or 0.0) * 100
    return f"{what}: accuracy {shown:.1f} %, {runner.seconds_of(record):.1f} s, {speed}"


def _lines(plan: Plan, results: Path, device: torch.device, console: Console) -> list[Record]:
    ended: list[Record] = []
    console.print(_opening(plan, device), markup=False, highlight=False)
    for record in local.run(plan, results, device):
        ended.append(record)
        count = f"[{len(ended)}/{len(plan.todo)}]"
        console.print(f"{count} {line_of(record)}{_left(plan, ended)}", markup=False, highlight=False)
    return ended


def _bars(plan: Plan, results: Path, device: torch.device, console: Console) -> list[Record]:
    ended: list[Record] = []
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("{task.fields[left]}"),
    )
    with Progress(*columns, console=console) as bars:
        cases = bars.add_task(escape(plan.suite.name), total=len(plan.todo), left="")
        steps = bars.add_task("", total=None, left="")

        def on_case(case: Case) -> OnStep:
            name = escape(f"{case.row} {case.pair} seed {case.seed}")
            bars.reset(steps, total=None, description=name, left="")
            return lambda done, total: bars.update(steps, completed=done, total=total)

        for record in local.run(plan, results, device, on_case):
            ended.append(record)
            bars.update(cases, completed=len(ended), left=_left(plan, ended))
            if record.status == "failed":
                console.print(line_of(record), markup=False, highlight=False)
        bars.update(steps, visible=False)
    return ended


def _opening(plan: Plan, device: torch.device) -> str:
    return f"{plan.suite.name}: {len(plan.todo)} cases to run on {device}, {len(plan.kept)} on file; started {clock.utc()}"


def _left(plan: Plan, ended: list[Record]) -> str:
    """Time left, learnt from finished cases of the same row, or of any row where there is none yet."""
    rest = plan.todo[len(ended) :]
    if not rest:
        return ""
    seconds, blind = runner.estimate(rest, [*ended, *plan.earlier])
    seconds += blind * sum(map(runner.seconds_of, ended)) / len(ended)
    return f", about {seconds:.0f} s left" if seconds < 120 else f", about {seconds / 60:.0f} min left"
