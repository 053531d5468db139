"""The promises of results files."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from tlbench import records
from tlbench.terms import TlbenchError


def results(file: Path) -> list[str]:
    """Hold a results file to the schema, to its own name, and to one record per case.

    Raises:
        TlbenchError: with all that is wrong.
    """
    found = records.read(file)
    wrong = []
    if not found:
        wrong.append("no record in it")
    for number, record in enumerate(found, 1):
        if (record.row, record.suite) != (file.stem, file.absolute().parent.name):
            wrong.append(f"record {number}: of row {record.row!r} of suite {record.suite!r}, which belongs in another file")
        if (record.status == "done") != (record.scores.target_accuracy is not None):
            wrong.append(f"record {number}: status {record.status}, target_accuracy {record.scores.target_accuracy}")
        if record.status != "done" and not record.why:
            wrong.append(f"record {number}: {record.status} without a reason")
        shares = (record.scores.target_accuracy, record.scores.source_accuracy, record.scores.macro_f1)
        if any(share is not None and not 0 <= share <= 1 for share in shares):
            wrong.append(f"record {number}: a score outside 0 to 1")
        if record.finished < record.started:
            wrong.append(f"record {number}: finished before it started")
    twice = Counter(record.identity for record in found if record.status != "failed")
    wrong += [f"{count} records of one case (identity {key})" for key, count in twice.items() if count > 1]
    if wrong:
        raise TlbenchError(f"{file}:\n  " + "\n  ".join(wrong))
    return [f"{len(found)} records, {sum(r.status == 'done' for r in found)} done"]
