"""When a case ran, by the clock of its machine, which its record may tell wrongly or not at all."""

from __future__ import annotations

from datetime import datetime, timedelta

from tlbench import clock
from tlbench.terms import Record

CLOCK_AHEAD = timedelta(days=1)
"""The clock of another machine may be ahead by so much."""


def last_possible_time() -> datetime:
    """The time after which no record can have finished: now, and the time by which another clock may be ahead."""
    return datetime.fromisoformat(clock.utc()) + CLOCK_AHEAD


def case_times(record: Record) -> tuple[datetime, datetime] | None:
    """When a case started and finished; None where the record has no two times in ISO 8601 with their zone."""
    try:
        started, finished = datetime.fromisoformat(record.started), datetime.fromisoformat(record.finished)
    except ValueError:
        return None
    return None if started.tzinfo is None or finished.tzinfo is None else (started, finished)
