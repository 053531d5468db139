"""Which cases are left to do, and where they run."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from statistics import median

from tlbench import data, engine, records
from tlbench.suite import Suite
from tlbench.terms import Case, Domain, Record, TlbenchError


@dataclass(frozen=True)
class Plan:
    """What a run would do: the cases left, the records that stand for the others, the loaded domains."""

    suite: Suite
    todo: list[Case]
    kept: list[Record]
    domains: dict[str, Domain]
    earlier: list[Record] = field(default_factory=list)
    """All records of the suite on file, of other versions too: what a case takes is learnt from them."""


def plan(
    suite: Suite,
    results: Path,
    root: Path,
    *,
    rows: Sequence[str] = (),
    pairs: Sequence[str] = (),
    seeds: Sequence[int] = (),
    fresh: bool = False,
) -> Plan:
    """Load the domains that the chosen cases need, check the pairs, and sort the cases into done and left.

    A case counts as done by its identity; a `failed` one is tried again.

    Raises:
        TlbenchError: bad filter, data that can't be loaded, or pairs that can't be run; all of them in one text.
    """
    cases = suite.cases(rows, pairs, seeds)
    wanted = dict.fromkeys((case.sources, case.target) for case in cases)
    names = dict.fromkeys(name for sources, target in wanted for name in (*sources, target))
    domains = load(suite, list(names), root)
    engine.check(suite, domains, list(wanted))
    earlier = [r for row in suite.methods for r in _on_file(results, suite.name, row)]
    ended = {record.identity: record for record in earlier if record.status != "failed"}
    todo, kept = [], []
    for case in cases:
        pair = {name: domains[name].fingerprint for name in (*case.sources, case.target)}
        record = ended.get(engine.identity(case, suite, pair))
        if record is None or record.row != case.row or fresh:
            todo.append(case)
        else:
            kept.append(record)
    return Plan(suite, todo, kept, domains, earlier)


def load(suite: Suite, names: Sequence[str], root: Path) -> dict[str, Domain]:
    """The named domains of a suite; all that can't be loaded is said at once.

    Raises:
        TlbenchError: with every mistake in one text.
    """
    domains, wrong = {}, []
    for name in names:
        try:
            domains[name] = data.load(suite.domains[name], root, data.cache.default())
        except TlbenchError as error:
            wrong.append(str(error))
    if wrong:
        raise TlbenchError("\n".join(dict.fromkeys(wrong)))
    return domains


def seconds_of(record: Record) -> float:
    """Wall seconds between a record's start and end."""
    return (datetime.fromisoformat(record.finished) - datetime.fromisoformat(record.started)).total_seconds()


def estimate(cases: Sequence[Case], finished: Sequence[Record]) -> tuple[float, int]:
    """Seconds that cases will take, from finished records of their method and pair, else of their method.

    Returns:
        The seconds of the cases that can be estimated, and how many can't.
    """
    by_cell: dict[tuple[str, ...], list[float]] = {}
    for record in finished:
        if record.status == "done":
            for key in ((record.row, record.pair), (record.row,)):
                by_cell.setdefault(key, []).append(seconds_of(record))
    total, blind = 0.0, 0
    for case in cases:
        known = by_cell.get((case.row, case.pair)) or by_cell.get((case.row,))
        total += median(known) if known else 0.0
        blind += not known
    return total, blind


def _on_file(results: Path, suite: str, row: str) -> list[Record]:
    file = records.file_of(results, suite, row)
    return records.read(file) if file.is_file() else []
