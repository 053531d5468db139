"""What the driver and the places where cases run say to each other."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from tlbench.runner.worker import Job
from tlbench.terms import Record


@dataclass(frozen=True)
class Stepped:
    """A case goes on: `done` of `total` steps."""

    slot: int
    done: int
    total: int


@dataclass(frozen=True)
class Ended:
    """A case has its record (`done`, `skipped` or `failed`); its place is free again."""

    slot: int
    record: Record


@dataclass(frozen=True)
class Lost:
    """A place died with its case, or could not run it; the pool has a new place of the same number, or one fewer."""

    slot: int
    reason: str
    retryable: bool = True
    """Whether the case may be tried at another place; False where it would fail there in the same way."""


Message = Stepped | Ended | Lost


class Pool(Protocol):
    """Places where cases run, one case at a time each: this process, processes of this machine, workers of a cluster.

    The driver (`schedule.drive`) owns order, retries, time limits, claims and records; a pool only runs what it is given.
    """

    def idle(self) -> Sequence[int]:
        """The places that take a case now. Places may come and go."""

    def size(self) -> int:
        """How many places there are, busy ones too."""

    def start(self, place: int, job: Job) -> None:
        """Give a job to an idle place."""

    def wait(self, seconds: float, tell: Callable[[Message], None]) -> None:
        """Tell what comes in; return after the first message other than Stepped, or after `seconds`."""

    def stop(self, place: int) -> None:
        """End what a place runs, at once; no message comes of it. The place is made anew."""

    def close(self) -> None:
        """End all places, and what they run."""
