"""The progress of a run: bars on a terminal or in a notebook, one line a finished case elsewhere, events for other programs."""

from __future__ import annotations

import contextlib
import importlib.util
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
from tlbench.escaping import escape_lines
from tlbench.runner import RunPlan
from tlbench.runner.interrupts import StopRequest
from tlbench.runner.pools.protocol import Pool
from tlbench.runner.scheduler import Event, Finished, Progressed, Retried, Started, run_plan
from tlbench.runner.worker import NO_LIMITS, Limits
from tlbench.terms import Case, Record

MAX_CASE_BARS = 8
"""The number of running cases that have a bar of their own."""
SCHEMA = 1
"""The schema of the events of `--json`; it grows when a key is removed or changes its meaning."""


class Style(StrEnum):
    """How the progress of a run is shown."""

    auto = "auto"
    """Bars on a terminal or in a notebook, lines elsewhere."""
    bars = "bars"
    """Bars on a terminal or in a notebook, failures only elsewhere."""
    quiet = "quiet"
    """Failures only."""
    silent = "silent"
    """Nothing."""
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
    debug: bool = False,
) -> list[Record]:
    """Run the pending cases of a plan and show the progress.

    Args:
        plan: from `runner.plan_run`.
        results: the results directory.
        pool: runs the cases.
        device: where the cases run.
        limits: time limit and attempts of a case.
        stop: once `stop.asked` is set, no further case starts.
        style: how the progress is shown.
        console: prints bars and lines; standard error without one.
        write: takes the lines of `Style.json`; standard output without one.
        debug: whether the traceback of a case that failed is printed as well.

    Returns:
        The records of the cases that were pending.

    Raises:
        TlbenchError: a record can't be written, or no worker can start.
    """
    console = console or Console(stderr=True, soft_wrap=True)
    stop = stop or StopRequest()
    view: _View
    if style is Style.json:
        view = _Events(plan, device, pool.size(), stop, write or _to_stdout)
    else:
        view = _view(plan, device, pool.size(), style, console)

    def handle(event: Event) -> None:
        view.handle(event)
        if debug and isinstance(event, Finished) and (traceback := event.record.attached_traceback):
            console.print(escape_lines(traceback), markup=False, highlight=False)

    with view:
        return list(run_plan(plan, results, pool, device=device, limits=limits, on_event=handle, stop=stop))


def _view(plan: RunPlan, device: torch.device, slots: int, style: Style, console: Console) -> _View:
    """The view for people: bars, lines or failures."""
    widgets = console.is_jupyter and importlib.util.find_spec("ipywidgets") is not None
    interactive = console.is_terminal or console.is_jupyter
    if style is Style.silent:
        return _Silent()
    if style is Style.quiet or (style is Style.bars and not interactive):
        return _Failures(console)
    if not plan.pending:
        console.print(
            f"{plan.suite.name}: nothing to run, {len(plan.on_file)} cases are on file", markup=False, highlight=False
        )
        return _Failures(console)
    if console.is_terminal or widgets:
        return _Bars(plan, console)
    return _Lines(plan, device, slots, console)  # also in a notebook without ipywidgets, which rich draws bars by


def line_of(record: Record) -> str:
    """A finished case in one line: score, seconds, samples per second."""
    name = f"{record.entry} {record.pair} seed {record.seed}"
    if record.status != "done":
        return f"{record.status}: {name}: {record.reason}"
    rate = record.cost.train_samples_per_second
    speed = f"{rate:,.0f} samples/s" if rate else ""
    notes = f" ({'; '.join(record.notes)})" if record.notes else ""
    return f"{name}: {_score(record)}, {runner.wall_seconds(record):.1f} s, {speed}{notes}"


def _score(record: Record) -> str:
    if record.scores.h_score is not None:
        return f"H-score {record.scores.h_score * 100:.1f} %, accuracy {(record.scores.target_accuracy or 0.0) * 100:.1f} %"
    if record.scores.target_accuracy is not None:
        return f"accuracy {record.scores.target_accuracy * 100:.1f} %"
    return f"R2 {record.scores.r2:.3f}" if record.scores.r2 is not None else "no score"


class _View(Protocol):
    """Shows the events of a run; a context that lasts as long as the run."""

    def handle(self, event: Event) -> None: ...

    def __enter__(self) -> _View: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool | None: ...


class _Silent(contextlib.AbstractContextManager["_Silent"]):
    """Shows nothing."""

    def handle(self, event: Event) -> None:
        """Show nothing."""

    def __exit__(self, *ending: object) -> None:
        return None


class _Failures(contextlib.AbstractContextManager["_Failures"]):
    """A line for each case that failed, and for each that is tried again."""

    def __init__(self, console: Console) -> None:
        self._console = console

    def handle(self, event: Event) -> None:
        """Print failures."""
        if isinstance(event, Retried):
            self._print(f"again: {_name(event.case)}: {event.reason}")
        elif isinstance(event, Finished) and event.record.status == "failed":
            self._print(line_of(event.record))

    def _print(self, text: str) -> None:
        self._console.print(escape_lines(text), markup=False, highlight=False)

    def __exit__(self, *ending: object) -> None:
        return None


class _Lines(_Failures):
    """A line for each finished case."""

    def __init__(self, plan: RunPlan, device: torch.device, slots: int, console: Console) -> None:
        super().__init__(console)
        self._total = len(plan.pending)
        at_once = f", {slots} at once" if slots > 1 else ""
        self._print(
            f"{plan.suite.name}: {len(plan.pending)} cases to run on {device}{at_once}, {len(plan.on_file)} on file; "
            f"started {clock.utc()}"
        )

    def handle(self, event: Event) -> None:
        """Print a finished case."""
        if isinstance(event, Finished):
            origin = " (by another run)" if event.elsewhere else ""
            finished = self._total - event.remaining
            self._print(f"[{finished}/{self._total}] {line_of(event.record)}{origin}{_time_left(event)}")
        else:
            super().handle(event)


class _Bars(_Failures):
    """A bar for all cases, and one for each running case."""

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
        self._cases = self._bars.add_task(escape(escape_lines(plan.suite.name)), total=self._total, left="")
        self._running: dict[int, TaskID] = {}

    def handle(self, event: Event) -> None:
        """Move the bars."""
        if isinstance(event, Started):
            name = escape(escape_lines(_name(event.case)))
            if event.slot in self._running:
                self._bars.reset(self._running[event.slot], total=None, description=name, left="")
            elif len(self._running) < MAX_CASE_BARS:
                self._running[event.slot] = self._bars.add_task(name, total=None, left="")
        elif isinstance(event, Progressed):
            if event.slot in self._running:
                self._bars.update(self._running[event.slot], completed=event.done, total=event.total)
        else:
            super().handle(event)
        if isinstance(event, Finished):
            self._bars.update(self._cases, completed=self._total - event.remaining, left=_time_left(event))

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
        self, plan: RunPlan, device: torch.device, slots: int, stop: StopRequest, write: Callable[[str], None]
    ) -> None:
        self._suite, self._stop, self._write = plan.suite.name, stop, write
        self._remaining = len(plan.pending)
        self._counts = {"done": 0, "skipped": 0, "failed": 0}
        self._emit("plan", schema=SCHEMA, device=str(device), places=slots, to_run=self._remaining, on_file=len(plan.on_file))

    def handle(self, event: Event) -> None:
        """Write the event; its keys are those of schema 1, whatever the attributes are called."""
        if isinstance(event, Finished):
            self._remaining = event.remaining
            self._counts[event.record.status] += 1
            record = event.record.model_dump(mode="json", by_alias=True)
            time_left = {"left": event.remaining, "left_seconds": event.remaining_seconds}
            self._emit("record", elsewhere=event.elsewhere, **time_left, record=record)
            return
        case = {"row": event.case.entry, "pair": event.case.pair, "seed": event.case.seed}
        if isinstance(event, Started):
            self._emit("start", **case, place=event.slot, attempt=event.attempt)
        elif isinstance(event, Progressed):
            self._emit("step", **case, place=event.slot, done=event.done, total=event.total)
        else:
            self._emit("retry", **case, why=event.reason)

    def __exit__(self, kind: type[BaseException] | None, *rest: object) -> None:
        stopped = self._stop.asked or kind is not None
        self._emit("end", **self._counts, left=self._remaining, stopped=stopped)

    def _emit(self, event: str, **facts: Any) -> None:
        self._write(json.dumps({"event": event, "at": clock.utc(), "suite": self._suite, **facts}, ensure_ascii=False))


def _to_stdout(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()  # a program that reads the events gets each at once


def _name(case: Case) -> str:
    return f"{case.entry} {case.pair} seed {case.seed}"


def _time_left(event: Finished) -> str:
    """The estimated time of the remaining cases."""
    if not event.remaining or event.remaining_seconds is None:
        return ""
    seconds = event.remaining_seconds
    return f", about {seconds:.0f} s left" if seconds < 120 else f", about {seconds / 60:.0f} min left"
