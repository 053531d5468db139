"""How far a results directory is, from its records and a suite alone: no data file is opened.

A case counts as done if a record says so whose identity is that of the suite and the methods as they are now, with the data
that the record itself names. Whether data files have changed since can't be seen here; a run looks.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from tlbench import engine
from tlbench.errors import TlbenchError
from tlbench.runner.duration_estimates import CellKey, DurationEstimates
from tlbench.suite import Suite
from tlbench.terms import Case, Record

Kind = str
SUPERSEDED, FAILED, STALE = "superseded", "failed", "stale"


@dataclass(frozen=True)
class RunStatus:
    """The cases of a suite, sorted by what is on file of them."""

    done: int
    skipped: int
    failed: list[Record]
    """The last record of each case that has failed and not been done since."""
    remaining: list[Case]
    """Without any record that still counts."""
    remaining_seconds: float | None
    """What `left` and `failed` take, one case at a time; None where nothing is known."""


def run_status(suite: Suite, records: Sequence[Record]) -> RunStatus:
    """Sort the cases of a suite by their records."""
    current = _current(suite, records)
    last: dict[tuple[str, str, int], Record] = {}
    for record in records:
        key = record.entry, record.pair, record.seed
        if id(record) in current and not (record.status == "failed" and key in last and last[key].status != "failed"):
            last[key] = record
    ended, left = Counter[str](), []
    failed = []
    for case in suite.cases():
        known = last.get((case.entry, case.pair, case.seed))
        if known is None:
            left.append(case)
        elif known.status == "failed":
            failed.append(known)
        else:
            ended[known.status] += 1
    to_do = Counter(CellKey(one.entry, one.pair) for one in (*left, *failed))
    return RunStatus(ended["done"], ended["skipped"], failed, left, DurationEstimates(records).wall_seconds(to_do, 1))


def prunable(suite: Suite | None, records: Sequence[Record]) -> dict[int, Kind]:
    """What may go, by position in the records of one results file, and why.

    Superseded: a later record of the same identity stands, or a done one for a failed one. Failed: never done since. Stale: of
    another version of suite, row or method; without a suite, none is known to be so.
    """
    kinds: dict[int, Kind] = {}
    best: dict[str, int] = {}
    for at, record in enumerate(records):
        before = best.get(record.identity)
        if before is None:
            best[record.identity] = at
        elif record.status == "failed" and records[before].status != "failed":
            kinds[at] = SUPERSEDED
        else:
            kinds[before], best[record.identity] = SUPERSEDED, at
    current = None if suite is None else _current(suite, records)
    for at in best.values():
        if current is not None and id(records[at]) not in current:
            kinds[at] = STALE
        elif records[at].status == "failed":
            kinds[at] = FAILED
    return kinds


def _current(suite: Suite, found: Iterable[Record]) -> set[int]:
    """The records (by `id`) that are of the suite, its rows and its methods as they are now; any seed counts."""
    pairs = {f"{'+'.join(sources)}:{target}" for sources, target in suite.pairs}
    by_data: dict[tuple[tuple[str, str], ...], list[tuple[Record, Case]]] = {}
    for record in found:
        row = suite.methods.get(record.entry)
        if row is None or record.pair not in pairs or record.suite != suite.name:
            continue
        facts = {"suite_version": suite.version, "method": row.method or record.entry, "options": row.options}
        case = Case(
            **{**{key: getattr(record, key) for key in Case.model_fields}, **facts}  # the seed and the pair stay
        )
        by_data.setdefault(tuple(sorted(record.data.items())), []).append((record, case))
    current = set()
    for data, several in by_data.items():
        try:
            identities = engine.identities([case for _, case in several], suite, dict(data))
        except (TlbenchError, KeyError):
            continue  # a method that is not known here (a plugin), or a record that lacks a domain
        current |= {id(r) for (r, _), identity in zip(several, identities, strict=True) if r.identity == identity}
    return current
