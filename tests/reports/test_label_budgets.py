"""What a source is worth in labels: the break-even of a planted curve, its interval, and the table of a suite on file."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import tlbench
from tlbench import records, reports
from tlbench.reports.statistics.break_even import break_even

LABELS = np.array([1.0, 3.0, 10.0, 30.0, 100.0])
RESULTS = Path(tlbench.__file__).parents[1] / "results"


def curve(labels: np.ndarray) -> np.ndarray:
    return 50 + 8 * np.log(labels)


def test_without_noise_the_break_even_is_that_of_the_curve():
    result = np.full((5, 3), curve(np.array(20.0)))
    exact = break_even(result, np.tile(curve(LABELS)[:, None], 3), LABELS)
    assert exact == pytest.approx((20, 20, 20))


@pytest.mark.parametrize(("level", "expected"), [(40.0, 0.0), (99.0, np.inf)])
def test_beyond_the_budgets_it_is_not_extrapolated(level, expected):
    assert break_even(np.full((5, 3), level), np.tile(curve(LABELS)[:, None], 3), LABELS) == (expected, expected, expected)


def test_noise_that_a_seed_shares_does_not_count():
    rng = np.random.default_rng(0)
    shared, own = 10 * rng.normal(size=(1, 4)), 0.1 * rng.normal(size=(5, 4))
    paired = break_even(curve(20.0) + shared + np.zeros((5, 4)), curve(LABELS)[:, None] + shared + own, LABELS)
    unpaired = break_even(curve(20.0) + shared[:, ::-1] + np.zeros((5, 4)), curve(LABELS)[:, None] + shared + own, LABELS)
    assert 19 < paired.low < 20.5 and 19.5 < paired.high < 21.5
    assert unpaired.high / max(unpaired.low, 1) > 5


def test_the_interval_covers_about_as_often_as_it_says():
    rng, covered, runs = np.random.default_rng(1), 0, 400
    for _ in range(runs):
        result = np.broadcast_to(curve(20.0) + rng.normal(size=(1, 3)), (5, 3))
        worth = break_even(result, curve(LABELS)[:, None] + rng.normal(size=(5, 3)), LABELS)
        covered += worth.low <= 20 <= worth.high
    assert 0.90 < covered / runs < 0.995


def test_two_seeds_have_no_interval():
    worth = break_even(np.full((5, 2), curve(20.0)), np.tile(curve(LABELS)[:, None], 2), LABELS)
    assert worth.labels == pytest.approx(20) and np.isnan(worth.low) and np.isnan(worth.high)


def test_the_table_of_a_suite_with_label_budgets():
    frame = reports.frame(records.iterate_records(RESULTS, ("digits_labels",)))
    (table,) = reports.tables(frame, "labels")
    assert "target_only" not in table.cells.index and table.section == "label-budgets"
    column = table.cells["upright:rotated (labels a class)"]
    assert column["source_only"].startswith("< 1") and column["joint"].startswith("1 + ")
    labels = table.data[table.data["quantity"] == "labels"].set_index("entry")["value"]
    means = frame[frame["status"] == "done"].groupby(["entry", "pair"])["target_accuracy"].mean()
    assert means["source_only"].mean() < means["target_only"]["upright:rotated_l1"]
    # joint with one label is between target_only with one and with two
    assert means["target_only"]["upright:rotated_l1"] < means["joint"]["upright:rotated_l1"]
    assert means["joint"]["upright:rotated_l1"] < means["target_only"]["upright:rotated_l2"] and 1 < labels["joint"] < 2


def test_a_suite_without_label_budgets_has_no_such_table():
    frame = reports.frame(records.iterate_records(RESULTS, ("digits_jda",)))
    assert reports.tables(frame, "labels") == []


def test_seconds_to_the_reference_are_those_of_a_method_that_reaches_it():
    frame = reports.frame(records.iterate_records(RESULTS, ("digits_labels",)))
    (table,) = reports.tables(frame, "labels")
    assert table.cells.loc["source_only", "seconds to target_only"] == "not reached"
    median = frame[(frame["entry"] == "joint") & (frame["status"] == "done")]["train_seconds"].median()
    assert table.cells.loc["joint", "seconds to target_only"] == f"at most {median:#.3g}"


def test_the_picture_has_the_numbers_of_the_table():
    from tlbench.plots.break_even import break_even_curves

    frame = reports.frame(records.iterate_records(RESULTS, ("digits_labels",)))
    (table,) = reports.tables(frame, "labels")
    figure = break_even_curves(table)
    (axes,) = figure.axes
    lines = {line.get_label(): line for line in axes.lines}
    means = frame[(frame["entry"] == "target_only") & (frame["status"] == "done")].groupby("pair")["target_accuracy"].mean()
    assert sorted(lines["target_only"].get_ydata()) == pytest.approx(sorted(100 * means))
    joint = table.data[(table.data["entry"] == "joint")].set_index("quantity")["value"]
    markers = [line for line in axes.lines if len(line.get_xdata()) == 1]
    assert any(line.get_xdata()[0] == joint["labels"] and line.get_ydata()[0] == joint["mean"] for line in markers)
    assert (
        break_even_curves(reports.tables(reports.frame(records.iterate_records(RESULTS, ("digits_jda",))), "accuracy")[0])
        is None
    )
