"""Estimated durations of cases, from finished cases of the same method entry and pair, else of the same entry."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from statistics import median
from typing import NamedTuple

from tlbench.records import case_times
from tlbench.terms import Case, Record

WINDOW = 50
"""The estimate of a cell is the median over its last finished cases, at most this many."""


class CellKey(NamedTuple):
    """Cases of one method entry on one pair: their durations are taken to be alike."""

    entry: str
    pair: str


def wall_seconds(record: Record) -> float:
    """The wall seconds of a record's case; where they were not measured, the seconds between its start and its end, else 0."""
    if record.cost.wall_seconds is not None:
        return record.cost.wall_seconds
    if (times := case_times(record)) is None:
        return 0.0
    return max((times[1] - times[0]).total_seconds(), 0.0)  # the system clock may have been set back in between


class DurationEstimates:
    """Durations of cases in seconds, updated as cases finish.

    Args:
        finished: the records to start from; those that are not `done` are ignored.
    """

    def __init__(self, finished: Iterable[Record] = ()) -> None:
        self._durations: dict[CellKey | str, deque[float]] = {}
        """Wall seconds of the last finished cases, by cell and by method entry."""
        self._medians: dict[CellKey | str, float] = {}
        for record in finished:
            self.update(record)

    def update(self, record: Record) -> bool:
        """Take a finished case into account; True if it is the first of its method entry."""
        if record.status != "done":
            return False
        is_first = record.entry not in self._durations
        seconds = wall_seconds(record)
        for key in (CellKey(record.entry, record.pair), record.entry):
            self._durations.setdefault(key, deque(maxlen=WINDOW)).append(seconds)
            self._medians.pop(key, None)
        return is_first

    def seconds(self, cell: CellKey) -> float | None:
        """The estimated duration of one case; None while no case of its method entry has finished."""
        key: CellKey | str = cell if cell in self._durations else cell.entry
        if key not in self._durations:
            return None
        if key not in self._medians:
            self._medians[key] = median(self._durations[key])
        return self._medians[key]

    def total(self, remaining: Mapping[CellKey, int]) -> tuple[float, int]:
        """Sum the estimated seconds of cases that run one after the other.

        Args:
            remaining: the number of cases, by cell.

        Returns:
            The seconds of the cases that have an estimate, and the number of cases that have none.
        """
        total, without_estimate = 0.0, 0
        for cell, count in remaining.items():
            seconds = self.seconds(cell)
            total += (seconds or 0.0) * count
            without_estimate += count if seconds is None else 0
        return total, without_estimate

    def wall_seconds(self, remaining: Mapping[CellKey, int], slots: int) -> float | None:
        """Estimate how long cases take that share a number of worker slots; None where no case has finished.

        A case without an estimate counts as an average one of the suite.
        """
        count = sum(remaining.values())
        if not count:
            return 0.0
        entry_medians = [median(values) for key, values in self._durations.items() if isinstance(key, str)]
        if not entry_medians:
            return None
        total, without_estimate = self.total(remaining)
        return (total + without_estimate * sum(entry_medians) / len(entry_medians)) / max(min(slots, count), 1)

    def longest_first(self, cases: Sequence[Case]) -> list[int]:
        """The order in which to start cases, as indices into `cases`: the longest estimated duration first.

        One case of each method entry without an estimate comes before all others, so that its duration is known early; the
        other cases of such an entry count as average ones.
        """
        estimates = [self.seconds(CellKey(case.entry, case.pair)) for case in cases]
        available = [seconds for seconds in estimates if seconds is not None]
        average = sum(available) / len(available) if available else 0.0
        pilots = {case.entry: i for i, case in reversed([*enumerate(cases)]) if estimates[i] is None}.values()
        rank = [-(average if seconds is None else seconds) for seconds in estimates]
        return [*sorted(pilots), *sorted(set(range(len(cases))) - {*pilots}, key=lambda i: (rank[i], i))]
