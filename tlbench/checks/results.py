"""Contract checks of results files that need no suite: the schema, the file's name, plausible values, one record per case."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

from tlbench import records
from tlbench.checks.costs import MOST_CORES, cost_errors
from tlbench.checks.scores import score_errors
from tlbench.errors import TlbenchError
from tlbench.records.models import model_errors
from tlbench.records.packing import pack_errors
from tlbench.terms import POSITION_TASKS, Record


def check_results(file: Path) -> list[str]:
    """Check the records of a results file, `<results>/<suite>/<entry>.jsonl`.

    Returns:
        A sentence with the number of records, and notes on what is odd about them.

    Raises:
        TlbenchError: with all errors.
    """
    on_file = records_of(file)
    if errors := [*result_errors(file, on_file), *model_errors(file.absolute().parent.parent, on_file)]:
        raise TlbenchError(f"{file}:\n  " + "\n  ".join(errors))
    done = sum(record.status == "done" for record in on_file)
    return [f"The records are plausible: {len(on_file)} in all, {done} done.", *result_notes(on_file)]


def records_of(file: Path) -> list[Record]:
    """The records of a results file, beside which no pack of predictions or facts is damaged.

    Raises:
        TlbenchError: the file can't be read, a pack is damaged, or a member has another content than its name states.
    """
    on_file, folder = records.read(file), file.absolute().parent
    if errors := [*pack_errors(folder.parent, folder.name, file.stem)]:
        raise TlbenchError("\n".join(errors))
    return on_file


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


def result_notes(on_file: Sequence[Record]) -> list[str]:
    """What is odd about the records of a file, and no error: a sentence each."""
    times = [records.case_times(record) for record in on_file]
    set_back = sum(one is not None and one[1] < one[0] for one in times)
    if not set_back:
        return []
    return [f"{set_back} of the cases finished before they started, for the clock was set back; other clocks timed them."]


def _record_errors(record: Record) -> Iterator[str]:
    yield from _status_errors(record)
    yield from score_errors(record)
    yield from cost_errors(record)
    yield from _machine_errors(record)


def _status_errors(record: Record) -> Iterator[str]:
    has_classes = record.task == "classification" or record.task in POSITION_TASKS
    metric = "target_accuracy" if has_classes else "per_task" if record.task == "multi_task" else "rmse"
    value = getattr(record.scores, metric)
    if (record.status == "done") != (value is not None):
        yield f"The status is {record.status}, and {metric} is {value}."
    if record.status != "done" and not record.reason:
        yield f"The status is {record.status}, and no reason is given."
    if set(record.data) != {*record.sources, record.target}:
        names = ", ".join(sorted(record.data)) or "no domain"
        yield f"It has fingerprints of {names}, and its pair is {record.pair}."
    times = records.case_times(record)
    if times is not None and max(times) > records.last_possible_time():
        yield f"It was run in the future: started {record.started}, finished {record.finished}."


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
