"""The status of a suite from the records on file: which cases are done, which are left, which records can be pruned.

Only the suite and the records are read, no data file. A case is done if it has a record whose identity is that of the present
suite and methods with the contents of data and weights that the record itself states. Only a run notices that those files have
changed.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from tlbench import engine
from tlbench.errors import TlbenchError
from tlbench.runner.duration_estimates import CellKey, DurationEstimates
from tlbench.suite import Suite
from tlbench.suite.pairs import pair_label
from tlbench.terms import Case, Record

PruneReason = str
SUPERSEDED, FAILED, STALE = "superseded", "failed", "stale"


@dataclass(frozen=True)
class RunStatus:
    """The cases of a suite, sorted by their records."""

    done: int
    skipped: int
    failed: list[Record]
    """The last record of each case that has failed and is not done since."""
    remaining: list[Case]
    """The cases without a valid record."""
    remaining_seconds: float | None
    """The estimated duration of the `remaining` and `failed` cases, one at a time; None while no case has finished."""


def run_status(suite: Suite, records: Sequence[Record]) -> RunStatus:
    """Sort the cases of a suite by their records."""
    current = _current(suite, records)
    last: dict[tuple[str, str, int], Record] = {}
    for record in records:
        key = record.entry, record.pair, record.seed
        if id(record) in current and not (record.status == "failed" and key in last and last[key].status != "failed"):
            last[key] = record
    counts = Counter[str]()
    remaining, failed = [], []
    for case in suite.cases():
        latest = last.get((case.entry, case.pair, case.seed))
        if latest is None:
            remaining.append(case)
        elif latest.status == "failed":
            failed.append(latest)
        else:
            counts[latest.status] += 1
    to_run = Counter(CellKey(case.entry, case.pair) for case in (*remaining, *failed))
    seconds = DurationEstimates(records).wall_seconds(to_run, slots=1)
    return RunStatus(counts["done"], counts["skipped"], failed, remaining, seconds)


def prunable(suite: Suite | None, records: Sequence[Record]) -> dict[int, PruneReason]:
    """The records of one results file that can be removed: the reason, by index into `records`.

    Superseded: a later record of the same identity exists, or a done one for a failed one. Failed: the case is not done since.
    Stale: the record is of another version of the suite, the method entry or the method; without a suite none counts as stale.
    """
    reasons: dict[int, PruneReason] = {}
    valid: dict[str, int] = {}
    """The index of the record that counts, by identity."""
    for index, record in enumerate(records):
        previous = valid.get(record.identity)
        if previous is None:
            valid[record.identity] = index
        elif record.status == "failed" and records[previous].status != "failed":
            reasons[index] = SUPERSEDED
        else:
            reasons[previous], valid[record.identity] = SUPERSEDED, index
    current = None if suite is None else _current(suite, records)
    for index in valid.values():
        if current is not None and id(records[index]) not in current:
            reasons[index] = STALE
        elif records[index].status == "failed":
            reasons[index] = FAILED
    return reasons


def _current(suite: Suite, records: Iterable[Record]) -> set[int]:
    """The records, by `id()`, whose identity is that of the present suite, entries and methods; any seed counts."""
    pairs = set(map(pair_label, suite.pairs))
    by_contents: dict[tuple[tuple[tuple[str, str], ...], ...], list[tuple[Record, Case]]] = {}
    for record in records:
        entry = suite.methods.get(record.entry)
        if entry is None or record.pair not in pairs or record.suite != suite.name:
            continue
        present = {"suite_version": suite.version, "method": entry.method or record.entry, "options": entry.options}
        case = Case(**{**{key: getattr(record, key) for key in Case.model_fields}, **present})
        stated = record.data, record.weights or {}
        by_contents.setdefault(tuple(tuple(sorted(one.items())) for one in stated), []).append((record, case))
    current = set()
    for (fingerprints, weights), group in by_contents.items():
        try:
            identities = engine.identities([case for _, case in group], suite, dict(fingerprints), dict(weights))
        except (TlbenchError, KeyError):
            continue  # the method is not registered here (a plugin), or the record lacks a domain
        current |= {id(record) for (record, _), identity in zip(group, identities, strict=True) if record.identity == identity}
    return current
