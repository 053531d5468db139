"""What cases cost, learnt from finished ones of their method row and pair, else of their row."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from statistics import median
from typing import NamedTuple

from tlbench.terms import Case, Record

REMEMBERED = 50
"""The estimate of a cell is the median of its last so many cases."""


class CellKey(NamedTuple):
    """What cases of one cost share."""

    entry: str
    pair: str


def seconds_of(record: Record) -> float:
    """Wall seconds of a record's case; of old records, or where no clock is kept, those between its start and its end."""
    if record.cost.wall_seconds is not None:
        return record.cost.wall_seconds
    between = datetime.fromisoformat(record.finished) - datetime.fromisoformat(record.started)
    return max(between.total_seconds(), 0.0)  # a clock that was set back meanwhile


class DurationEstimates:
    """Seconds that cases take; estimates follow what is learnt on the way."""

    def __init__(self, finished: Iterable[Record] = ()) -> None:
        self._known: dict[CellKey | str, deque[float]] = {}
        self._medians: dict[CellKey | str, float] = {}
        for record in finished:
            self.learn(record)

    def learn(self, record: Record) -> bool:
        """Take a finished case into account; True if nothing was known of its row before."""
        if record.status != "done":
            return False
        new = record.entry not in self._known
        seconds = seconds_of(record)
        for key in (CellKey(record.entry, record.pair), record.entry):
            self._known.setdefault(key, deque(maxlen=REMEMBERED)).append(seconds)
            self._medians.pop(key, None)
        return new

    def seconds(self, cell: CellKey) -> float | None:
        """What a case will take; None where no case of its row has ended yet."""
        key: CellKey | str = cell if cell in self._known else cell.entry
        if key not in self._known:
            return None
        if key not in self._medians:
            self._medians[key] = median(self._known[key])
        return self._medians[key]

    def total(self, left: Mapping[CellKey, int]) -> tuple[float, int]:
        """Seconds that the cases left of each cell take one after the other, as far as known, and of how many it is not."""
        total, blind = 0.0, 0
        for cell, count in left.items():
            seconds = self.seconds(cell)
            total += (seconds or 0.0) * count
            blind += count if seconds is None else 0
        return total, blind

    def wall_seconds(self, left: Mapping[CellKey, int], places: int) -> float | None:
        """About how long the cases left take at so many places; an unknown one counts as an average case of the suite."""
        count = sum(left.values())
        if not count:
            return 0.0
        rows = [median(values) for key, values in self._known.items() if isinstance(key, str)]
        if not rows:
            return None
        total, blind = self.total(left)
        return (total + blind * sum(rows) / len(rows)) / max(min(places, count), 1)

    def longest_first(self, cases: Sequence[Case]) -> list[int]:
        """The order in which to start: positions in `cases`, the highest cost first.

        One case of each row that nothing is known of comes before all others, so that its cost is learnt early; the rest of
        such a row counts as an average one.
        """
        each = [self.seconds(CellKey(case.entry, case.pair)) for case in cases]
        known = [one for one in each if one is not None]
        middle = sum(known) / len(known) if known else 0.0
        first = {case.entry: i for i, case in reversed([*enumerate(cases)]) if each[i] is None}.values()
        rank = [-(middle if one is None else one) for one in each]
        return [*sorted(first), *sorted(set(range(len(cases))) - {*first}, key=lambda i: (rank[i], i))]
