"""The progress of a run: bars on a terminal or in a notebook, a line now and then elsewhere, events for other programs."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Callable
from enum import StrEnum
from pathlib import Path

import torch
from rich.console import Console

from tlbench.escaping import escape_lines
from tlbench.progress.events import Events
from tlbench.progress.views import Bars, Failures, Lines, Silent, View
from tlbench.runner import RunPlan
from tlbench.runner.interrupts import StopRequest
from tlbench.runner.pools.protocol import Pool
from tlbench.runner.scheduler import Event, Finished, run_plan
from tlbench.runner.worker import NO_LIMITS, Limits
from tlbench.terms import Record


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
    view: View
    if style is Style.json:
        view = Events(plan, device, pool.size(), stop, write or _to_stdout)
    else:
        view = _view(plan, device, pool.size(), style, console)

    def handle(event: Event) -> None:
        view.handle(event)
        if debug and isinstance(event, Finished) and (traceback := event.record.attached_traceback):
            console.print(escape_lines(traceback), markup=False, highlight=False)

    with view:
        return list(run_plan(plan, results, pool, device=device, limits=limits, on_event=handle, stop=stop))


def _view(plan: RunPlan, device: torch.device, slots: int, style: Style, console: Console) -> View:
    """The view for people: bars, lines or failures."""
    widgets = console.is_jupyter and importlib.util.find_spec("ipywidgets") is not None
    interactive = console.is_terminal or console.is_jupyter
    if style is Style.silent:
        return Silent()
    if style is Style.quiet or (style is Style.bars and not interactive):
        return Failures(console)
    if not plan.pending:
        console.print(
            f"{plan.suite.name}: nothing to run, {len(plan.on_file)} cases are on file", markup=False, highlight=False
        )
        return Failures(console)
    if console.is_terminal or widgets:
        return Bars(plan, console)
    return Lines(plan, device, slots, console)  # also in a notebook without ipywidgets, which rich draws bars by


def _to_stdout(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()  # a program that reads the events gets each at once
