"""The notes of a run's records, each said once: how many cases have it, and of which method entries."""

from __future__ import annotations

import re
from collections.abc import Iterable

from tlbench.terms import Record

MAX_NOTES = 6
"""The number of kinds of notes that are shown; all are in the records."""
_MAX_ENTRIES = 4
_NUMBER = re.compile(r"\d[\d.,]*")


class NoteCounts:
    """Counts notes while cases finish; notes that differ in nothing but their numbers are of one kind."""

    def __init__(self) -> None:
        self._example: dict[str, str] = {}
        self._records: dict[str, list[Record]] = {}

    def add(self, record: Record) -> None:
        """Count the notes of a record; those of one kind count once."""
        for kind, note in {_NUMBER.sub("#", note): note for note in reversed(record.notes)}.items():
            self._example.setdefault(kind, note)
            self._records.setdefault(kind, []).append(record)

    def lines(self) -> list[str]:
        """A line for each kind of note, the most frequent first: "note (15 cases of coral, dann): ..."."""
        kinds = sorted(self._records, key=lambda kind: -len(self._records[kind]))
        shown = [f"note ({_cases(self._records[kind])}): {self._example[kind]}" for kind in kinds[:MAX_NOTES]]
        more = len(kinds) - MAX_NOTES
        return [*shown, f"note: {more} more kinds of notes are in the records"] if more > 0 else shown


def _cases(records: Iterable[Record]) -> str:
    """How many cases, and of which entries."""
    entries = [record.entry for record in records]
    names = list(dict.fromkeys(entries))
    listed = ", ".join(names[:_MAX_ENTRIES]) if len(names) <= _MAX_ENTRIES else f"{len(names)} methods"
    return f"{len(entries)} case{'s' * (len(entries) > 1)} of {listed}"
