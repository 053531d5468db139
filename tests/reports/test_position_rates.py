"""Positions per second in the table of throughput, of tasks with a label for each position."""

import pytest
from toy_records import record, value

from tlbench import reports


def of_words(entry, seed, rate):
    cost = {
        "train_seconds": 1.0,
        "train_samples_per_second": rate,
        "predict_samples_per_second": 50.0,
        "batch": 8,
        "positions": 16,
    }
    one = record(entry, seed=seed, cost=cost)
    scores = one.scores.model_copy(update={"scored_samples": 10, "scored_positions": 120})
    return one.model_copy(update={"task": "tokens", "scores": scores})


def test_rates_of_positions_are_those_of_samples_times_the_positions_of_a_sample():
    (table,) = reports.throughput(
        reports.frame([of_words("source_only", seed, rate) for seed, rate in enumerate((10, 20, 90))])
    )
    assert table.cells.loc["source_only", "train samples/s"] == "20.0"
    assert table.cells.loc["source_only", "train positions/s"] == "320"
    assert table.cells.loc["source_only", "predict positions/s"] == "600", "12 labelled positions a scored sample"
    assert value(table, "source_only", "train_positions_per_second") == pytest.approx(320.0)
    assert "Positions: the tokens or pixels with a label" in table.caption


def test_samples_with_one_label_have_no_such_columns():
    cost = {"train_seconds": 1.0, "train_samples_per_second": 10.0, "predict_samples_per_second": 50.0, "batch": 8}
    (table,) = reports.throughput(reports.frame([record(cost=cost)]))
    assert not any("positions" in column for column in table.cells.columns) and "Positions:" not in table.caption
