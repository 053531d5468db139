"""The promises of suites and of results files."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

from tlbench import methods, records
from tlbench.errors import TlbenchError
from tlbench.suite import Suite
from tlbench.terms import Record


def check_suite(suite: Suite) -> list[str]:
    """Hold a suite that parses to what its tables promise; data are not read.

    Returns:
        The promises kept, and what its records will show: rows that are skipped, seeds too few for an interval.

    Raises:
        TlbenchError: with all that is wrong.
    """
    granted = {*suite.protocol.grants, *(["target_labeled"] if suite.protocol.target_labels or suite.label_budgets else [])}
    lacking = {row: sorted(methods.method_class(m.method or row).reads - granted) for row, m in suite.methods.items()}
    alike: dict[str, str] = {}
    wrong = []
    if suite.path is not None and suite.path.stem != suite.name:
        wrong.append(f"name: {suite.name!r} is not the file's name, {suite.path.stem!r}; records stand under the name")
    if lacking[suite.protocol.baseline]:
        missing = ", ".join(lacking[suite.protocol.baseline])
        wrong.append(
            f"protocol.baseline: {suite.protocol.baseline} reads {missing}, which is not granted; no delta could be made"
        )
    for row, method in suite.methods.items():
        name = method.method or row
        first = alike.setdefault(f"{name} {sorted(methods.method_options(name, method.options).items())}", row)
        if first != row:
            wrong.append(f"methods.{row}: the same method with the same options as {first}; one of them is enough")
    if wrong:
        raise TlbenchError(f"{suite.path or suite.name}:\n  " + "\n  ".join(wrong))
    counts = f"{len(suite.domains)} domains, {len(suite.pairs)} pairs, {len(suite.methods)} methods, {len(suite.cases())} cases"
    kept = [f"suite {suite.name}, {counts}; its data are checked by `tlbench data check`"]
    kept += [
        f"{row} will be skipped: it reads {', '.join(parts)}, which is not granted" for row, parts in lacking.items() if parts
    ]
    if len(suite.protocol.seeds) < 3:
        kept.append(f"{len(suite.protocol.seeds)} seeds: too few for an interval, which needs three")
    return kept


def check_results(file: Path) -> list[str]:
    """Hold a results file to the schema, to its own name, to plausible facts, and to one record per case.

    Raises:
        TlbenchError: with all that is wrong.
    """
    found = records.read(file)
    if wrong := result_errors(file, found):
        raise TlbenchError(f"{file}:\n  " + "\n  ".join(wrong))
    return [f"{len(found)} records, {sum(r.status == 'done' for r in found)} done"]


def result_errors(file: Path, found: list[Record]) -> list[str]:
    """What can be seen to be wrong without knowing the suite."""
    wrong = [] if found else ["no record in it"]
    for number, record in enumerate(found, 1):
        if (record.entry, record.suite) != (file.stem, file.absolute().parent.name):
            wrong.append(f"record {number}: of row {record.entry!r} of suite {record.suite!r}, which belongs in another file")
        wrong += [
            f"record {number}: {what}" for what in (*_ending(record), *_scores(record), *_cost(record), *_machine(record))
        ]
    twice = Counter(record.identity for record in found if record.status != "failed")
    wrong += [
        f"{count} records of one case (identity {key}); `tlbench results prune` keeps the last"
        for key, count in twice.items()
        if count > 1
    ]
    return wrong


def _ending(record: Record) -> Iterator[str]:
    main = "target_accuracy" if record.task == "classification" else "rmse"
    measured = getattr(record.scores, main)
    if (record.status == "done") != (measured is not None):
        yield f"status {record.status}, {main} {measured}"
    if record.status != "done" and not record.reason:
        yield f"{record.status} without a reason"
    if set(record.data) != {*record.sources, record.target}:
        yield f"fingerprints of {', '.join(sorted(record.data)) or 'no domain'}, and the pair is {record.pair}"
    if record.finished < record.started:
        yield "finished before it started"


def _scores(record: Record) -> Iterator[str]:
    scores = record.scores
    shares = [scores.target_accuracy, scores.source_accuracy, scores.macro_f1]
    shares += [*(scores.per_class_accuracy or {}).values(), *(scores.per_group_accuracy or {}).values()]
    shares += [point.source_validation_accuracy for point in scores.trace]
    if any(share is not None and not 0 <= share <= 1 for share in shares):
        yield "a score outside 0 to 1"
    if scores.r2 is not None and scores.r2 > 1:
        yield f"r2 {scores.r2:g}, which is at most 1"
    if any(error is not None and error < 0 for error in (scores.rmse, scores.mae)):
        yield "an error below zero"
    if scores.scored_samples is not None and scores.scored_samples < 1:
        yield f"{scores.scored_samples} scored rows"
    elif scores.scored_samples is not None and scores.target_accuracy is not None:
        right = scores.target_accuracy * scores.scored_samples
        if abs(right - round(right)) > 1e-3:
            yield f"target_accuracy {scores.target_accuracy:g} of {scores.scored_samples} scored samples is no whole number"


def _cost(record: Record) -> Iterator[str]:
    cost = record.cost
    for name in ("train_seconds", "train_samples_per_second", "predict_samples_per_second", "energy_joules"):
        value = getattr(cost, name)
        if value is not None and value < 0:
            yield f"{name} {value:g}, which is below zero"
    for name in ("peak_memory_bytes", "steps", "batch"):
        value = getattr(cost, name)
        if value is not None and value < 1:
            yield f"{name} {value}, which is below one"
    try:
        spent = (datetime.fromisoformat(record.finished) - datetime.fromisoformat(record.started)).total_seconds()
    except (ValueError, TypeError):
        yield f"started {record.started!r}, finished {record.finished!r}: not two times in ISO 8601"
        return
    if cost.train_seconds is not None and cost.train_seconds > max(spent, 0) + 1:
        yield f"{cost.train_seconds:.1f} s of training in a case that took {spent:.1f} s"


def _machine(record: Record) -> Iterator[str]:
    machine = record.machine
    if not machine.device.strip():
        yield "a machine without a device"
    if not re.match(r"\d+(\.\d+)*", machine.torch):
        yield f"torch {machine.torch!r}, which is no version"
    if machine.cores is not None and not 1 <= machine.cores <= 4096:
        yield f"{machine.cores} processor cores"
    if machine.device != "cpu" and machine.cuda is None and machine.driver is None:
        yield f"device {machine.device!r} without a driver and without CUDA"
