"""Contract checks of results files that need no suite: the schema, the file's name, plausible values, one record per case."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import datetime
from pathlib import Path

from tlbench import records
from tlbench.errors import TlbenchError
from tlbench.terms import Record

MOST_CORES = 4096


def check_results(file: Path) -> list[str]:
    """Check the records of a results file, `<results>/<suite>/<entry>.jsonl`.

    Returns:
        One sentence with the number of records.

    Raises:
        TlbenchError: with all errors.
    """
    on_file = records.read(file)
    if errors := result_errors(file, on_file):
        raise TlbenchError(f"{file}:\n  " + "\n  ".join(errors))
    return [f"The records are plausible: {len(on_file)} in all, {sum(record.status == 'done' for record in on_file)} done."]


def result_errors(file: Path, on_file: Sequence[Record]) -> list[str]:
    """The errors in the records of a file that can be seen without the suite, a sentence each."""
    errors = [] if on_file else ["There is no record in the file."]
    for number, record in enumerate(on_file, 1):
        if (record.entry, record.suite) != (file.stem, file.absolute().parent.name):
            errors.append(
                f"record {number}: It is of entry {record.entry!r} of suite {record.suite!r}, which belongs in another file."
            )
        errors += [f"record {number}: {error}" for error in _record_errors(record)]
    counts = Counter(record.identity for record in on_file if record.status != "failed")
    errors += [
        f"There are {count} records of one case (identity {identity}). `tlbench results prune` keeps the last one."
        for identity, count in counts.items()
        if count > 1
    ]
    return errors


def _record_errors(record: Record) -> Iterator[str]:
    yield from _status_errors(record)
    yield from _score_errors(record)
    yield from _cost_errors(record)
    yield from _machine_errors(record)


def _status_errors(record: Record) -> Iterator[str]:
    metric = "target_accuracy" if record.task == "classification" else "rmse"
    value = getattr(record.scores, metric)
    if (record.status == "done") != (value is not None):
        yield f"The status is {record.status}, and {metric} is {value}."
    if record.status != "done" and not record.reason:
        yield f"The status is {record.status}, and no reason is given."
    if set(record.data) != {*record.sources, record.target}:
        names = ", ".join(sorted(record.data)) or "no domain"
        yield f"It has fingerprints of {names}, and its pair is {record.pair}."
    if record.finished < record.started:
        yield "It finished before it started."


def _score_errors(record: Record) -> Iterator[str]:
    scores = record.scores
    shares = [scores.target_accuracy, scores.source_accuracy, scores.macro_f1]
    shares += [*(scores.per_class_accuracy or {}).values(), *(scores.per_group_accuracy or {}).values()]
    shares += [point.source_validation_accuracy for point in scores.trace]
    if any(share is not None and not 0 <= share <= 1 for share in shares):
        yield "A score lies outside 0 to 1."
    if scores.r2 is not None and scores.r2 > 1:
        yield f"r2 is {scores.r2:g}, and it cannot be larger than 1."
    if any(error is not None and error < 0 for error in (scores.rmse, scores.mae)):
        yield "rmse or mae is negative."
    if scores.scored_samples is not None and scores.scored_samples < 1:
        yield f"The number of scored samples is {scores.scored_samples}."
    elif scores.scored_samples is not None and scores.target_accuracy is not None:
        correct = scores.target_accuracy * scores.scored_samples
        if abs(correct - round(correct)) > 1e-3:
            yield (
                f"target_accuracy {scores.target_accuracy:g} of {scores.scored_samples} scored samples is no whole number of "
                "correct predictions."
            )


def _cost_errors(record: Record) -> Iterator[str]:
    cost = record.cost
    for name in ("train_seconds", "train_samples_per_second", "predict_samples_per_second", "energy_joules"):
        value = getattr(cost, name)
        if value is not None and value < 0:
            yield f"{name} is {value:g}, and it cannot be negative."
    for name in ("peak_memory_bytes", "steps", "batch"):
        value = getattr(cost, name)
        if value is not None and value < 1:
            yield f"{name} is {value}, and it must be at least 1."
    try:
        duration = datetime.fromisoformat(record.finished) - datetime.fromisoformat(record.started)
    except (ValueError, TypeError):
        yield f"started = {record.started!r} and finished = {record.finished!r} are not two times in ISO 8601."
        return
    case_seconds = duration.total_seconds()
    if cost.train_seconds is not None and cost.train_seconds > max(case_seconds, 0) + 1:
        yield f"The training took {cost.train_seconds:.1f} s of a case that took {case_seconds:.1f} s."


def _machine_errors(record: Record) -> Iterator[str]:
    machine = record.machine
    if not machine.device.strip():
        yield "The machine has no device."
    if not re.match(r"\d+(\.\d+)*", machine.torch):
        yield f"torch = {machine.torch!r} is no version."
    if machine.cores is not None and not 1 <= machine.cores <= MOST_CORES:
        yield f"The machine has {machine.cores} processor cores, and between 1 and {MOST_CORES} are plausible."
    if machine.device != "cpu" and machine.cuda is None and machine.driver is None:
        yield f"The device {machine.device!r} has neither a driver nor CUDA."
