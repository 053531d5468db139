"""The protocol between the scheduler and the pools in which cases run: methods of a pool, and the messages that it sends."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from tlbench.runner.worker import Job
from tlbench.terms import Record


@dataclass(frozen=True)
class Stepped:
    """A running case has done `done` of `total` training steps."""

    slot: int
    done: int
    total: int


@dataclass(frozen=True)
class Begun:
    """The case of a slot begins now: its worker has started, imported the method and loaded the data."""

    slot: int


@dataclass(frozen=True)
class Ended:
    """A case has its record (`done`, `skipped` or `failed`); its worker slot is idle again."""

    slot: int
    record: Record


@dataclass(frozen=True)
class Lost:
    """A worker died with its case, or could not run it; the pool has restarted the slot, or has one slot fewer."""

    slot: int
    reason: str
    retryable: bool = True
    """Whether another attempt may succeed; False where the case would fail in the same way."""


Message = Begun | Stepped | Ended | Lost
OnMessage = Callable[[Message], None]


class Pool(Protocol):
    """A set of worker slots that run one case at a time each: this process, processes of this machine, actors of a cluster.

    The scheduler (`scheduler.run_plan`) owns order, retries, time limits, case locks and records; a pool only runs jobs.
    """

    def idle(self) -> Sequence[int]:
        """The numbers of the slots that can take a job now. Slots may come and go."""

    def size(self) -> int:
        """The number of slots, busy ones included."""

    def start(self, slot: int, job: Job) -> None:
        """Start a job in an idle slot."""

    def wait(self, seconds: float, on_message: OnMessage) -> None:
        """Pass on messages of the workers; return after the first Ended or Lost, or after `seconds`."""

    def stop(self, slot: int) -> None:
        """Kill the job of a slot at once, without a message, and restart the slot."""

    def close(self) -> None:
        """Stop all slots and their jobs."""
