"""Results directories are merged: nothing is lost, nothing is overwritten, conflicts are shown."""

from __future__ import annotations

from pathlib import Path

import pytest
from command_line import tlbench
from tiny_results import run_tiny_suite
from tiny_suite import record

from tlbench import records
from tlbench.errors import TlbenchError
from tlbench.records import merge
from tlbench.terms import Scores


@pytest.fixture(scope="module")
def ran(tmp_path_factory) -> Path:
    """A folder with the tiny suite, its data and its results."""
    return run_tiny_suite(tmp_path_factory.mktemp("ran"))


def written(folder, *some):
    for one in some:
        (folder / one.suite).mkdir(parents=True, exist_ok=True)
        records.append(folder, one)
    return folder


def test_a_merge_loses_nothing_and_overwrites_nothing(tmp_path):
    same, mine = record(0), record(1)
    theirs = record(1, scores=Scores(target_accuracy=0.75))
    one, two = written(tmp_path / "one", same, mine), written(tmp_path / "two", same, theirs, record(2, suite="other"))
    out = written(tmp_path / "out", record(9))
    before = records.file_of(out, "tiny", "source_only").read_bytes()
    merged = merge.merge([one, two], out)
    assert (merged.written, merged.already_present) == (4, 1)
    assert records.file_of(out, "tiny", "source_only").read_bytes().startswith(before)
    assert [r.seed for r in records.read_all(out, ("tiny",))] == [9, 0, 1, 1]
    assert [r.seed for r in records.read_all(out, ("other",))] == [2]
    (conflict,) = merged.conflicts
    assert (conflict.first, conflict.second) == (mine, theirs)
    assert "seed 1: target_accuracy 0.5 and 0.75" in str(conflict)
    after = records.file_of(out, "tiny", "source_only").read_bytes()
    assert merge.merge([one, two, out], out).written == 0
    assert records.file_of(out, "tiny", "source_only").read_bytes() == after


def test_equal_scores_of_one_case_are_no_conflict(tmp_path):
    first = record(0)
    there = record(0, machine=first.machine.model_copy(update={"torch": "3"}), finished="2024-01-02T00:00:00.000+00:00")
    retried = record(1, status="failed", reason="no memory", scores=Scores()), record(1)
    one, two = written(tmp_path / "a", first, retried[0]), written(tmp_path / "b", there, retried[1])
    merged = merge.merge([one, two], tmp_path / "out")
    assert merged.written == 4 and merged.conflicts == ()
    assert "torch 2 and 3" in merge.differences(first, there)


def test_predictions_are_merged_too(ran, tmp_path):
    merge.merge([ran / "results"], tmp_path)
    with_predictions = [record for record in records.read_all(tmp_path) if record.scores.predictions]
    assert with_predictions and all(records.predictions(tmp_path, record) is not None for record in with_predictions)
    assert [r.identity for r in records.read_all(tmp_path)] == [r.identity for r in records.read_all(ran / "results")]


def test_a_merge_of_broken_files_writes_nothing_and_reports_all_errors(tmp_path):
    one, two = written(tmp_path / "one", record(0)), written(tmp_path / "two", record(1))
    (one / "tiny" / "source_only.jsonl").write_text("rubbish\n")
    (two / "tiny" / "dann.jsonl").write_bytes((two / "tiny" / "source_only.jsonl").read_bytes())
    with pytest.raises(TlbenchError) as raised:
        merge.merge([one, two, tmp_path / "none"], tmp_path / "out")
    message = str(raised.value)
    assert "There is no results directory" in message and "Not JSON" in message and "belong in another file" in message
    assert not (tmp_path / "out").exists()


def test_merge_on_the_command_line_shows_conflicts_and_ends_with_1(tmp_path):
    written(tmp_path / "one", record(0))
    written(tmp_path / "two", record(0, scores=Scores(target_accuracy=0.25)))
    done = tlbench("merge", "one", "two", "--out", "both", cwd=tmp_path)
    assert done.returncode == 1 and "2 records written to both" in done.stdout
    assert "conflict: tiny v1 source_only a:b seed 0: target_accuracy 0.5 and 0.25" in done.stderr
