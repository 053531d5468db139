"""The progress of a run for people: bars, lines, failures, or nothing."""

from __future__ import annotations

import contextlib
from types import TracebackType
from typing import Protocol

import torch
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn
from rich.table import Column

from tlbench import clock, runner
from tlbench.escaping import escape_lines
from tlbench.metrics import METRICS, POSITION_METRICS
from tlbench.progress.notes import NoteCounts
from tlbench.runner import RunPlan
from tlbench.runner.scheduler import Event, Finished, Progressed, Retried, Started
from tlbench.terms import Case, Record

MAX_CASE_BARS = 8
"""The number of running cases that have a bar of their own."""
BAR_WIDTH = 20
NUMBERS_WIDTH = 36
"""The width in characters of what stands beside a bar: counts, elapsed time and time left."""
MAX_LINES = 10
"""The number of lines in which a run says how far it is, where it takes at most so many times `LINE_SECONDS`."""
LINE_SECONDS = 60.0
"""After so many seconds the next finished case has a line in any case."""


def line_of(record: Record) -> str:
    """A finished case in one line: its score and seconds, or why it has none."""
    name = f"{record.entry} {record.pair} seed {record.seed}"
    if record.status != "done":
        return f"{record.status}: {name}: {record.reason}"
    return f"{name}: {_score(record)}, {runner.wall_seconds(record):.1f} s"


def _score(record: Record) -> str:
    if record.scores.h_score is not None:
        return f"H-score {record.scores.h_score * 100:.1f} %, accuracy {(record.scores.target_accuracy or 0.0) * 100:.1f} %"
    if record.scores.target_accuracy is not None and any(record.metric in metrics for metrics in POSITION_METRICS.values()):
        metric, value = METRICS[record.metric], getattr(record.scores, record.metric) or 0.0
        return f"{metric.short} {value * 100:.1f} %, accuracy {record.scores.target_accuracy * 100:.1f} %"
    if record.scores.target_accuracy is not None:
        return f"accuracy {record.scores.target_accuracy * 100:.1f} %"
    if record.scores.task_score is not None:
        return f"task score {record.scores.task_score * 100:.1f} %"
    return f"R2 {record.scores.r2:.3f}" if record.scores.r2 is not None else "no score"


class View(Protocol):
    """Shows the events of a run; a context that lasts as long as the run."""

    def handle(self, event: Event) -> None:
        """Show an event."""

    def __enter__(self) -> View: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool | None: ...


class Silent(contextlib.AbstractContextManager["Silent"]):
    """Shows nothing."""

    def handle(self, event: Event) -> None:
        """Show nothing."""

    def __exit__(self, *ending: object) -> None:
        return None


class Failures(contextlib.AbstractContextManager["Failures"]):
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


class Noting(Failures):
    """Failures, and at the end each note of the run once."""

    def __init__(self, console: Console) -> None:
        super().__init__(console)
        self._notes = NoteCounts()

    def handle(self, event: Event) -> None:
        """Print failures, and remember notes."""
        super().handle(event)
        if isinstance(event, Finished):
            self._notes.add(event.record)

    def __exit__(self, *ending: object) -> None:
        for line in self._notes.lines():
            self._print(line)


class Lines(Noting):
    """A line for a finished case from time to time: `MAX_LINES` of a short run, one in `LINE_SECONDS` of a longer one."""

    def __init__(self, plan: RunPlan, device: torch.device, slots: int, console: Console) -> None:
        super().__init__(console)
        self._total = len(plan.pending)
        self._printed, self._printed_seconds = 0, clock.seconds()
        at_once = f", {slots} at once" if slots > 1 else ""
        self._print(
            f"{plan.suite.name}: {len(plan.pending)} cases to run on {device}{at_once}, {len(plan.on_file)} on file; "
            f"started {clock.utc()[:16].replace('T', ' ')} UTC"
        )

    def handle(self, event: Event) -> None:
        """Print a case that failed, and a finished one where a line is due."""
        if not isinstance(event, Finished):
            super().handle(event)
            return
        self._notes.add(event.record)
        finished = self._total - event.remaining
        waited = clock.seconds() - self._printed_seconds
        due = (finished - self._printed) * MAX_LINES >= self._total or waited >= LINE_SECONDS
        if due or event.record.status == "failed":
            origin = " (by another run)" if event.elsewhere else ""
            self._print(f"[{finished}/{self._total}] {line_of(event.record)}{origin}{_time_left(event)}")
        if due:
            self._printed, self._printed_seconds = finished, clock.seconds()


class Bars(Noting):
    """A bar for all cases, and one for each running case."""

    def __init__(self, plan: RunPlan, console: Console) -> None:
        super().__init__(console)
        name_width = max(12, console.width - NUMBERS_WIDTH - BAR_WIDTH)  # names shrink on a narrow terminal, numbers never do
        name = Column(no_wrap=True, overflow="ellipsis", max_width=name_width)
        self._bars = Progress(
            TextColumn("{task.description}", table_column=name),
            BarColumn(bar_width=BAR_WIDTH),
            MofNCompleteColumn(table_column=Column(no_wrap=True)),
            TimeElapsedColumn(table_column=Column(no_wrap=True)),
            TextColumn("{task.fields[left]}", table_column=Column(no_wrap=True)),
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
            self._bars.update(self._cases, completed=self._total - event.remaining, left=_time_left(event).removeprefix("; "))

    def __enter__(self) -> Bars:
        self._bars.start()
        return self

    def __exit__(self, *ending: object) -> None:
        for bar in self._running.values():
            self._bars.update(bar, visible=False)
        self._bars.stop()
        super().__exit__(*ending)


def _name(case: Case) -> str:
    return f"{case.entry} {case.pair} seed {case.seed}"


def _time_left(event: Finished) -> str:
    """The estimated time of the remaining cases."""
    if not event.remaining or event.remaining_seconds is None:
        return ""
    seconds = event.remaining_seconds
    return f"; {seconds:.0f} s left" if seconds < 120 else f"; {seconds / 60:.0f} min left"
