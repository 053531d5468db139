"""The promises of suites and of results files."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from tlbench import methods, records
from tlbench.suite import Suite
from tlbench.terms import TlbenchError


def suite(suite: Suite) -> list[str]:
    """Hold a suite that parses to what its tables promise; data are not read.

    Returns:
        The promises kept, and what its records will show: rows that are skipped, seeds too few for an interval.

    Raises:
        TlbenchError: with all that is wrong.
    """
    granted = {*suite.protocol.grants, *(["few"] if suite.protocol.target_labels else [])}
    lacking = {row: sorted(methods.find(m.method or row).reads - granted) for row, m in suite.methods.items()}
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
        first = alike.setdefault(f"{name} {sorted(methods.options(name, method.options).items())}", row)
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
