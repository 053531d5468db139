"""What a results file must keep to stand on a leaderboard: its suite's protocol, in full, from clean code, on the same data."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from tlbench import engine, methods, records
from tlbench.checks import files
from tlbench.errors import TlbenchError
from tlbench.suite import Suite
from tlbench.terms import Record

SEEDS_NEEDED = 3
"""Fewer seeds give no interval."""


def check_contribution(file: Path, suite: Suite) -> list[str]:
    """Hold a results file to its suite; the other files of its folder say which data the suite was run on so far.

    Returns:
        The promises kept.

    Raises:
        TlbenchError: with all that is wrong.
    """
    found = records.read(file)
    now = [record for record in found if record.suite_version == suite.version]
    wrong = files.result_errors(file, found)
    wrong += _version(found, suite)
    wrong += _asked(now, suite)
    wrong += _complete(now, suite)
    wrong += _code(now)
    wrong += _data(file, now)
    for number, record in enumerate(found, 1):
        wrong += [f"record {number}: {what}" for what in _predictions(file, record)]
    if wrong:
        raise TlbenchError(f"{file}:\n  " + "\n  ".join(wrong))
    counts = f"{len(found)} records, {sum(r.status == 'done' for r in found)} done"
    earlier = f"; {len(found) - len(now)} of earlier versions" if len(found) > len(now) else ""
    return [
        f"{counts}: schema, scores, costs and machine are plausible{earlier}",
        f"suite {suite.name} v{suite.version}, hash {suite.hash}, options as in the suite",
        f"{len(suite.pairs)} pairs, {len({r.seed for r in now})} seeds each, no case twice",
        f"clean commit{'' if any(r.code.commit for r in now) else ' not known: run from an installed tlbench'}",
        "data and counts agree with each other and with the other rows of the suite",
    ]


def _version(found: list[Record], suite: Suite) -> Iterator[str]:
    versions = Counter(record.suite_version for record in found)
    if found and suite.version not in versions:
        there = ", ".join(map(str, sorted(versions)))
        yield f"suite_version: records of version {there}, and suite {suite.name} is at version {suite.version}"
    yield from (f"suite_version: {v} is later than the suite's, {suite.version}" for v in versions if v > suite.version)


def _asked(now: list[Record], suite: Suite) -> Iterator[str]:
    """Was it the suite's own question: its protocol, its baseline, its row with its options?"""
    for what, asked in (("suite_hash", suite.hash), ("baseline", suite.protocol.baseline), ("metric", suite.protocol.metric)):
        other = Counter(getattr(record, what) for record in now if getattr(record, what) != asked)
        yield from (f"{what}: {count} records have {said!r}, the suite has {asked!r}" for said, count in other.items())
    for row in dict.fromkeys(record.entry for record in now):
        of_row = [record for record in now if record.entry == row]
        if row not in suite.methods:
            yield f"methods: the suite has no row {row!r}; add [methods.{row}] to it, so that others can run the row too"
            continue
        name = suite.methods[row].method or row
        try:
            options = methods.method_options(name, suite.methods[row].options)
        except TlbenchError as error:
            yield f"{error}; a method of yours is named with --plugin"
            continue
        if strange := sorted({record.method for record in of_row} - {name}):
            yield f"methods.{row}: the records are of {', '.join(strange)}, in the suite it is {name}"
            continue
        default = methods.method_options(name, {})
        strayed = [r for r in of_row if {**default, **r.options} != options]  # options younger than a record had their default
        if strayed:
            said = {k: v for k, v in {**default, **strayed[0].options}.items() if options.get(k) != v}
            yield f"methods.{row}: {len(strayed)} records have other options than the suite, such as {said}"
            continue
        foreign = [r for r in of_row if r.suite_hash == suite.hash and engine.identity(r, suite, r.data) != r.identity]
        if foreign:
            yield f"identity: {len(foreign)} records are not of the case that they say, such as {_cell(foreign[0])}"


def _complete(now: list[Record], suite: Suite) -> Iterator[str]:
    known = [f"{'+'.join(sources)}:{target}" for sources, target in suite.pairs]
    seeds: dict[str, set[int]] = {pair: set() for pair in known}
    failed: dict[tuple[str, int], Record] = {}
    for record in now:
        if record.pair not in seeds:
            yield f"pairs: {record.pair!r} is none of suite {suite.name}"
        elif record.status == "failed":
            failed[record.pair, record.seed] = record
        else:
            seeds[record.pair].add(record.seed)
    for pair, some in seeds.items():
        if not some and not any(of == pair for of, _ in failed):
            yield f"pairs: no record of {pair}"
        elif len(some) < SEEDS_NEEDED:
            yield f"seeds: {pair} has {len(some)} that did not fail; {SEEDS_NEEDED} at least"
        elif missing := sorted(set().union(*seeds.values()) - some):
            yield f"seeds: {pair} lacks {', '.join(map(str, missing))}, which other pairs have"
    for (pair, seed), record in failed.items():
        if seed not in seeds[pair]:
            yield f"{pair} seed {seed} failed: {record.reason}"
    cases = Counter((record.pair, record.seed, record.identity) for record in now if record.status != "failed")
    asked = Counter((pair, seed) for pair, seed, _ in cases)
    yield from (
        f"{pair} seed {seed} was asked in {count} ways (data, method version or options changed between): keep one"
        for (pair, seed), count in asked.items()
        if count > 1
    )


def _code(now: list[Record]) -> Iterator[str]:
    if dirty := [record for record in now if record.code.dirty]:
        yield f"commit: {len(dirty)} records are of uncommitted code, such as {_cell(dirty[0])}; commit, then run again"


def _data(file: Path, now: list[Record]) -> Iterator[str]:
    """One content of each domain over all rows of the suite; of one content one count of scored rows and one set of classes."""
    beside = [r for other in sorted(file.absolute().parent.glob("*.jsonl")) if other.stem != file.stem for r in _others(other)]
    version = {record.suite_version for record in now}
    beside = [record for record in beside if record.suite_version in version]
    for name in sorted({name for record in now for name in record.data}):
        here = {record.data[name] for record in now if name in record.data}
        if len(here) > 1:
            yield f"data: {len(here)} different contents of domain {name}; all records must be of the same data"
        there = {record.data[name] for record in beside if name in record.data}
        if there and not here & there:
            yield f"data: domain {name} is not that of the other rows of the suite ({', '.join(sorted(there))})"
    own: dict[tuple[str, ...], dict[tuple[object, ...], Record]] = defaultdict(dict)
    for record in (*beside, *now):  # so that of two that differ it is the one in this file that is named
        if record.status == "done":
            shape = (record.scores.scored_samples, tuple(record.scores.per_class_accuracy or ()))
            own[record.data.get(record.target, ""), record.pair, record.suite_hash or ""][shape] = record
    for (print_, pair, _), shapes in own.items():
        if len(shapes) > 1:
            counts = ", ".join(f"{rows} rows in {len(names)} classes" for rows, names in shapes)  # type: ignore[arg-type]
            yield f"scored_rows: of one and the same target data ({pair}, fingerprint {print_}) there are {counts}"


def _others(file: Path) -> list[Record]:
    try:
        return records.read(file)
    except TlbenchError:
        return []  # another row's file is checked by itself


def _predictions(file: Path, record: Record) -> Iterator[str]:
    name = record.scores.predictions
    if name is None:
        return
    kept = records.predictions(file.absolute().parent.parent, record)
    if kept is None:
        yield f"its predictions {name} are not beside it, or do not hold what their name says"
        return
    right = int(np.count_nonzero(kept[1]))
    if len(kept[0]) != record.scores.scored_samples:
        yield f"its predictions are of {len(kept[0])} rows, it says {record.scores.scored_samples}"
    elif record.scores.target_accuracy is not None and round(record.scores.target_accuracy * len(kept[0])) != right:
        said = f"its target_accuracy is {record.scores.target_accuracy:g}"
        yield f"its predictions have {right} of {len(kept[0])} rows right, {said}"


def _cell(record: Record) -> str:
    return f"{record.pair} seed {record.seed}"
