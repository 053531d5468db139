"""The progress of a run for other programs: one JSON object a line; docs/runs.md has their keys."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable
from typing import Any

import torch

from tlbench import clock
from tlbench.runner import RunPlan
from tlbench.runner.interrupts import StopRequest
from tlbench.runner.scheduler import Event, Finished, Progressed, Started

SCHEMA = 1
"""The schema of the events of `--json`; it grows when a key is removed or changes its meaning."""


class Events(contextlib.AbstractContextManager["Events"]):
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
