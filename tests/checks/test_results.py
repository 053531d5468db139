"""Contract checks of a results file that need no suite."""

from __future__ import annotations

import pytest
from tiny_suite import record

from tlbench import checks, records
from tlbench.errors import TlbenchError
from tlbench.terms import Scores


def append_all(results, *some):
    for one in some:
        (results / one.suite).mkdir(parents=True, exist_ok=True)
        records.append(results, one)


def test_checks_of_a_results_file(tmp_path):
    append_all(tmp_path, record(0), record(1, status="skipped", reason="not granted", scores=Scores()))
    file = records.file_of(tmp_path, "tiny", "source_only")
    assert checks.check_results(file) == ["The records are plausible: 2 in all, 1 done."]
    append_all(
        tmp_path,
        record(0),
        record(2, status="failed", scores=Scores()),
        record(3, scores=Scores()),
        record(4, scores=Scores(target_accuracy=50.0)),
        record(5, finished="2023-01-01T00:00:00.000+00:00"),
    )
    with pytest.raises(TlbenchError) as raised:
        checks.check_results(file)
    message = str(raised.value)
    for sentence in (
        "There are 2 records of one case (identity 0000000000000000).",
        "record 4: The status is failed, and no reason is given.",
        "record 5: The status is done, and target_accuracy is None.",
        "record 6: A score lies outside 0 to 1.",
        "record 7: It finished before it started.",
    ):
        assert sentence in message
    file.rename(file.with_name("coral.jsonl"))
    with pytest.raises(TlbenchError, match="of entry 'source_only' of suite 'tiny', which belongs in another file"):
        checks.check_results(file.with_name("coral.jsonl"))
    empty = tmp_path / "tiny" / "none.jsonl"
    empty.write_text("")
    with pytest.raises(TlbenchError, match="There is no record in the file"):
        checks.check_results(empty)
