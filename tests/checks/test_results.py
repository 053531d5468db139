"""Contract checks of a results file that need no suite."""

from __future__ import annotations

import pytest
from tiny_suite import record

from tlbench import checks, records
from tlbench.errors import TlbenchError
from tlbench.terms import Cost, Scores


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
        record(4, finished="2999-01-01T00:00:00.000+00:00"),
    )
    with pytest.raises(TlbenchError) as raised:
        checks.check_results(file)
    message = str(raised.value)
    for sentence in (
        "There are 2 records of one case (identity 0000000000000000).",
        "record 4: The status is failed, and no reason is given.",
        "record 5: The status is done, and target_accuracy is None.",
        "record 6: It was run in the future: started 2024-01-01T00:00:00.000+00:00, finished 2999-01-01T00:00:00.000+00:00.",
    ):
        assert sentence in message
    file.rename(file.with_name("coral.jsonl"))
    with pytest.raises(TlbenchError, match="of entry 'source_only' of suite 'tiny', which belongs in another file"):
        checks.check_results(file.with_name("coral.jsonl"))
    empty = tmp_path / "tiny" / "none.jsonl"
    empty.write_text("")
    with pytest.raises(TlbenchError, match="There is no record in the file"):
        checks.check_results(empty)


def test_a_clock_that_was_set_back_is_a_note_and_no_error(tmp_path):
    cost = Cost(wall_seconds=5.0, train_seconds=4.0)
    append_all(tmp_path, record(0), record(1, finished="2023-12-31T00:00:00.000+00:00", cost=cost))
    passed = checks.check_results(records.file_of(tmp_path, "tiny", "source_only"))
    assert passed[1:] == ["1 of the cases finished before they started, for the clock was set back; other clocks timed them."]
