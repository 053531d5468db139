"""Records that are dated in the future lose every conflict, and the report says so."""

from __future__ import annotations

import pytest
from tiny_suite import record
from typer.testing import CliRunner

from tlbench import cli, records, reports
from tlbench.reports.frames import future_records, latest_records, latest_value
from tlbench.terms import Scores

FUTURES = ("2999-01-01T00:00:00+00:00", "9999-12-31T23:59:59+00:00")


def rated(accuracy: float, **changes):
    return record(0, scores=Scores(target_accuracy=accuracy, per_class_accuracy={"0": accuracy}), **changes)


@pytest.mark.parametrize("finished", FUTURES)
@pytest.mark.parametrize("first", [True, False])
def test_a_record_of_the_future_loses_to_one_of_today(finished, first):
    pair = [rated(1.0, finished=finished, metric="macro_f1"), rated(0.5)]
    frame = reports.frame(pair if first else pair[::-1])
    assert latest_records(frame)["target_accuracy"].tolist() == [0.5]
    assert latest_value(frame, "metric") == "target_accuracy"
    assert future_records(frame) == (
        f"1 of 2 records are dated in the future, such as source_only a:b seed 0 ({finished}): they count only where their "
        "case has no other record."
    )


def test_a_clock_that_is_some_hours_ahead_is_no_future():
    now = records.last_possible_time().isoformat()
    frame = reports.frame([rated(0.5), rated(1.0, finished=now)])
    assert future_records(frame) == ""
    assert latest_records(frame)["target_accuracy"].tolist() == [1.0]


def test_report_says_which_records_are_dated_in_the_future(tmp_path):
    for one in (rated(0.5), rated(1.0, finished=FUTURES[0])):
        (tmp_path / "tiny").mkdir(exist_ok=True)
        records.append(tmp_path, one)
    done = CliRunner().invoke(cli.app, ["report", "--results", str(tmp_path), "--table", "accuracy"])
    assert done.exit_code == 0
    assert "note: 1 of 2 records are dated in the future" in done.stderr and "50.0" in done.stdout
