"""What is seen while cases run: bars on a terminal, one line a finished case elsewhere, events for other programs."""

from __future__ import annotations

import contextlib
import json
import sys
from collections.abc import Callable
from enum import StrEnum
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol

import torch
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

from tlbench import clock, runner
from tlbench.runner import RunPlan
from tlbench.runner.interrupts import StopRequest
from tlbench.runner.pools.protocol import Pool
from tlbench.runner.scheduler import Event, Finished, Progressed, Retried, Started, run_plan
from tlbench.runner.worker import NO_LIMITS, Limits
from tlbench.terms import Case, Record

SHOWN = 8
"""So many running cases have a bar of their own."""
SCHEMA = 1
"""Of the events of `--json`; it grows when a key changes its meaning or goes."""


class Style(StrEnum):
    """How a run is shown."""

    auto = "auto"
    """Bars on a terminal, lines elsewhere."""
    quiet = "quiet"
    """Failures only."""
    json = "json"
    """One JSON object a line, on standard output."""


def show(
    plan: RunPlan,
    results: Path,
    pool: Pool,
    device: torch.device,
    *,
    limits: Limits = NO_LIMITS,
    stop: StopRequest | None = None,
    style: Style = Style.auto,
    console: Console | None = None,
    write: Callable[[str], None] | None = None,
) -> list[Record]:
    """Run what a plan has left and show how it goes on, on standard error; events go to `write`, or to standard output."""
    console = console or Console(stderr=True, soft_wrap=True)
    stop = stop or StopRequest()
    if style is Style.json:
        view: _View = _Events(plan, device, pool.size(), stop, write or _to_stdout)
    elif style is Style.quiet:
        view = _Quiet(console)
    elif not plan.pending:
        console.print(f"{plan.suite.name}: nothing to run, {len(plan.on_file)} cases are on file", markup=False, highlight=False)
        view = _Quiet(console)
    elif console.is_terminal:
        view = _Bars(plan, console)
    else:
        view = _Lines(plan, device, pool.size(), console)
    with view:
        return list(run_plan(plan, results, pool, device=device, limits=limits, on_event=view.tell, stop=stop))


def line_of(record: Record) -> str:
    """A finished case in one line."""
    what = f"{record.entry} {record.pair} seed {record.seed}"
    if record.status != "done":
        return f"{record.status}: {what}: {record.reason}"
    rate = record.cost.train_samples_per_second
    speed = f"{rate:,.0f} samples/s" if rate else ""
    noted = f" ({'; '.join(record.notes)})" if record.notes else ""
    return f"{what}: {_score(record)}, {runner.seconds_of(record):.1f} s, {speed}{noted}"


def _score(record: Record) -> str:
    if record.scores.target_accuracy is not None:
        return f"accuracy {record.scores.target_accuracy * 100:.1f} %"
    return f"R2 {record.scores.r2:.3f}" if record.scores.r2 is not None else "no score"


class _View(Protocol):
    """Shows the events of a run; a context that lasts as long as the run."""

    def tell(self, event: Event) -> None: ...

    def __enter__(self) -> _View: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool | None: ...


class _Quiet(contextlib.AbstractContextManager["_Quiet"]):
    """Nothing but failures."""

    def __init__(self, console: Console) -> None:
        self._console = console

    def tell(self, event: Event) -> None:
        """A case that failed, or whose worker died."""
        if isinstance(event, Retried):
            self._say(f"again: {_named(event.case)}: {event.reason}")
        elif isinstance(event, Finished) and event.record.status == "failed":
            self._say(line_of(event.record))

    def _say(self, text: str) -> None:
        self._console.print(text, markup=False, highlight=False)

    def __exit__(self, *ending: object) -> None:
        return None


class _Lines(_Quiet):
    """One line a case."""

    def __init__(self, plan: RunPlan, device: torch.device, places: int, console: Console) -> None:
        super().__init__(console)
        self._total = len(plan.pending)
        at_once = f", {places} at once" if places > 1 else ""
        self._say(
            f"{plan.suite.name}: {len(plan.pending)} cases to run on {device}{at_once}, {len(plan.on_file)} on file; "
            f"started {clock.utc()}"
        )

    def tell(self, event: Event) -> None:
        """A case that has its record."""
        if isinstance(event, Finished):
            there = " (by another run)" if event.elsewhere else ""
            self._say(f"[{self._total - event.remaining}/{self._total}] {line_of(event.record)}{there}{_left(event)}")
        else:
            super().tell(event)


class _Bars(_Quiet):
    """A bar for the cases, and one for each of the cases that run."""

    def __init__(self, plan: RunPlan, console: Console) -> None:
        super().__init__(console)
        self._bars = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TextColumn("{task.fields[left]}"),
            console=console,
        )
        self._total = len(plan.pending)
        self._cases = self._bars.add_task(escape(plan.suite.name), total=self._total, left="")
        self._running: dict[int, TaskID] = {}

    def tell(self, event: Event) -> None:
        """What moves a bar."""
        if isinstance(event, Started):
            name = escape(_named(event.case))
            if event.slot in self._running:
                self._bars.reset(self._running[event.slot], total=None, description=name, left="")
            elif len(self._running) < SHOWN:
                self._running[event.slot] = self._bars.add_task(name, total=None, left="")
        elif isinstance(event, Progressed):
            if event.slot in self._running:
                self._bars.update(self._running[event.slot], completed=event.done, total=event.total)
        else:
            super().tell(event)
        if isinstance(event, Finished):
            self._bars.update(self._cases, completed=self._total - event.remaining, left=_left(event))

    def __enter__(self) -> _Bars:
        self._bars.start()
        return self

    def __exit__(self, *ending: object) -> None:
        for bar in self._running.values():
            self._bars.update(bar, visible=False)
        self._bars.stop()


class _Events(contextlib.AbstractContextManager["_Events"]):
    """One JSON object a line; docs/runs.md has their keys."""

    def __init__(
        self, plan: RunPlan, device: torch.device, places: int, stop: StopRequest, write: Callable[[str], None]
    ) -> None:
        self._suite, self._stop, self._write = plan.suite.name, stop, write
        self._left = len(plan.pending)
        self._ended = {"done": 0, "skipped": 0, "failed": 0}
        self._say("plan", schema=SCHEMA, device=str(device), places=places, to_run=len(plan.pending), on_file=len(plan.on_file))

    def tell(self, event: Event) -> None:
        """Every event."""
        if isinstance(event, Finished):
            self._left = event.remaining
            self._ended[event.record.status] += 1
            facts = event.record.model_dump(mode="json", by_alias=True)
            rest = {"left": event.remaining, "left_seconds": event.remaining_seconds}
            self._say("record", elsewhere=event.elsewhere, **rest, record=facts)
            return
        case = {"row": event.case.entry, "pair": event.case.pair, "seed": event.case.seed}
        if isinstance(event, Started):
            self._say("start", **case, place=event.slot, attempt=event.attempt)
        elif isinstance(event, Progressed):
            self._say("step", **case, place=event.slot, done=event.done, total=event.total)
        else:
            self._say("retry", **case, why=event.reason)

    def __exit__(self, kind: type[BaseException] | None, *rest: object) -> None:
        stopped = self._stop.asked or kind is not None
        self._say("end", **self._ended, left=self._left, stopped=stopped)

    def _say(self, event: str, **facts: Any) -> None:
        self._write(json.dumps({"event": event, "at": clock.utc(), "suite": self._suite, **facts}, ensure_ascii=False))


def _to_stdout(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()  # whoever listens hears it now


def _named(case: Case) -> str:
    return f"{case.entry} {case.pair} seed {case.seed}"


def _left(event: Finished) -> str:
    """Time left, learnt from finished cases."""
    if not event.remaining or event.remaining_seconds is None:
        return ""
    seconds = event.remaining_seconds
    return f", about {seconds:.0f} s left" if seconds < 120 else f", about {seconds / 60:.0f} min left"
