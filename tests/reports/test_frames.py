"""The frame of records, and which records the tables use."""

import json

import pandas as pd
import pytest
from toy_records import PAIRS, grid, record, value

from tlbench import reports
from tlbench.errors import TlbenchError


def test_frame_has_a_flat_row_per_record_and_what_was_not_measured_is_missing():
    made = record(pair="a+b:c", options={"weight": 1.0}, accuracy=None, cost={"steps": 500})
    frame = reports.frame([made, record(status="failed", reason="the loss is nan")])
    first = frame.iloc[0]
    assert (first["sources"], first["target"], first["pair"]) == ("a+b", "c", "a+b:c")
    assert json.loads(first["options"]) == {"weight": 1.0}
    assert first["steps"] == 500
    assert first[["target_accuracy", "train_seconds", "energy_joules", "peak_memory_bytes", "reason"]].isna().all()
    assert frame.loc[1, ["status", "reason"]].to_list() == ["failed", "the loss is nan"]
    assert reports.frame([]).columns.to_list() == frame.columns.to_list()


def test_an_empty_frame_is_an_error():
    empty = reports.frame([])
    for make in (reports.tables, reports.accuracy, reports.transfer, reports.throughput):
        with pytest.raises(TlbenchError, match="no records"):
            make(empty)


def test_of_two_records_for_a_case_the_one_finished_last_counts_wherever_it_stands():
    new = record(accuracy=0.7, finished="2026-01-02T00:00:00+00:00")
    old = record(accuracy=0.1, finished="2026-01-01T23:59:59.5Z")
    for order in ([new, old], [old, new]):
        frame = reports.frame(order)
        assert len(frame) == 2
        assert value(reports.accuracy(frame), "source_only", "mean") == pytest.approx(70)


def test_one_table_is_of_one_suite_and_tables_takes_them_in_order():
    frame = reports.frame([record(suite="z"), record("dann", suite="a"), record("dann", suite="z"), record(suite="a")])
    with pytest.raises(TlbenchError, match="'z' v1, 'a' v1"):
        reports.accuracy(frame)
    made = reports.tables(frame)
    assert [(table.suite, table.kind) for table in made if table.kind in reports.MAIN] == [
        (suite, kind) for suite in ("z v1", "a v1") for kind in reports.MAIN
    ]
    kinds = [table.kind for table in made]
    assert sorted(set(kinds), key=kinds.index) == [kind for kind in reports.KINDS if kind in kinds]
    assert [table.kind for table in reports.tables(frame, "main")] == [*reports.MAIN, *reports.MAIN]
    assert [table.kind for table in reports.tables(frame, "transfer")] == ["transfer", "transfer"]
    with pytest.raises(TlbenchError, match="Unknown table 'acuracy'"):
        reports.tables(frame, "acuracy")


def test_versions_of_a_suite_are_not_compared():
    frame = reports.frame([record(accuracy=0.9), record(suite_version=2)])
    assert [table.suite for table in reports.tables(frame, "accuracy")] == ["toy v1", "toy v2"]


def test_records_in_chunks_make_the_same_frame_as_at_once(monkeypatch):
    made = [*grid("source_only", 0.5), record("dann", status="failed", reason="x"), *grid("dann", 0.6, pairs=PAIRS[1:])]
    whole = reports.frame(made)
    from tlbench.reports import frames

    monkeypatch.setattr(frames, "_CHUNK", 4)
    pd.testing.assert_frame_equal(reports.frame(iter(made)), whole)
