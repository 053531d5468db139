"""What is too small to be a finding: rounding of each metric, and texts of numbers that round to zero."""

import numpy as np
import pytest
from scipy import stats
from toy_records import record, value

from tlbench import reports
from tlbench.reports.statistics import intervals, ties
from tlbench.reports.table import number_text


def regression(entry, r2, rmse, pair="a:b", seeds=3, metric="r2"):
    return [
        record(entry, pair, s, metric=metric, task="regression", scores={"r2": r2 + 0.001 * s, "rmse": rmse * (1 + 0.001 * s)})
        for s in range(seeds)
    ]


@pytest.mark.parametrize(
    ("metric", "values", "samples", "difference", "is_tie"),
    [
        ("target_accuracy", 51.9, 720, 100 / 720, False),  # one sample in every run
        ("target_accuracy", 51.9, 720, 100 / 720 / 6, False),  # one sample in one of six runs
        ("target_accuracy", 51.9, 720, 1e-5, True),  # single precision
        ("macro_f1", 51.9, 720, 1e-5, True),
        ("target_accuracy", 51.9, None, 1e-12, True),
        ("target_accuracy", 51.9, None, 1e-6, False),
        ("r2", 99.2, 720, 1e-6, True),  # 1e-8 of the variance
        ("r2", 99.2, 720, 2e-3, True),
        ("r2", 99.2, 720, 0.01, False),
        ("rmse", 4.0, 720, 4e-5, True),
        ("rmse", 4.0, 720, 1e-4, False),
        ("rmse", 4e-12, 720, 1e-15, False),
        ("mae", 4.0, 720, 4e-5, True),
    ],
)
def test_the_floor_of_each_metric(metric, values, samples, difference, is_tie):
    (floor, _) = ties.tie_floors(metric, np.full((2, 2, 3), values), samples)
    assert (difference <= floor) == is_tie
    scores = np.array([values, values + difference])
    assert (ties.ranks(scores, floor=floor).tolist() == [1.5, 1.5]) == is_tie
    verdict = intervals.verdicts(intervals.Estimate(np.array([difference]), np.zeros(1)), 1.0, floor)
    assert (verdict.item() == 0) == is_tie


def test_a_collapsed_entry_does_not_raise_the_floor_of_errors():
    values = np.array([4.0, 4.1, 4.2, 1e9])[:, None, None] * np.ones((1, 1, 3))
    assert ties.tie_floors("rmse", values) == pytest.approx(4.15 * ties.ROUNDING)


def test_ties_are_made_equal_and_blanks_stay():
    tied = ties.tied(np.array([0.3, np.nan, 0.1, 0.3 + 1e-12, 0.2]))
    assert tied[[0, 2, 3, 4]].tolist() == [0.3, 0.1, 0.3, 0.2] and np.isnan(tied[1])
    assert ties.tied(np.array([])).tolist() == []
    values = np.random.default_rng(0).integers(0, 5, 20).astype(float)
    assert ties.ranks(values).tolist() == stats.rankdata(-values).tolist()


@pytest.mark.parametrize("metric", ["r2", "rmse"])
def test_two_implementations_of_one_predictor_make_no_difference(metric):
    made = [
        record
        for pair in ("a:b", "b:a")
        for record in (
            *regression("source_only", 0.9, 4.0, pair, metric=metric),
            *regression("pca", 0.9 + 1e-8, 4.0 - 1e-7, pair, metric=metric),
            *regression("coral", 0.95, 3.0, pair, metric=metric),
        )
    ]
    frame = reports.frame(made)
    (transfer,), (negative,), accuracy = reports.transfer(frame), reports.negative_transfer(frame), reports.accuracy(frame)
    shown = transfer.cells.loc["pca"]
    assert shown[["verdict", "pairs better", "pairs worse"]].to_list() == ["equal", "0 / 2", "0 / 2"]
    assert not any(sign in shown[column] for column in ("mean delta", "a:b", "b:a", "worst pair") for sign in "+-*")
    assert transfer.cells.loc["coral", "verdict"] == "better"
    assert negative.cells.loc["pca", ["worse %", "P(better)"]].to_list() == ["0", "0.50"]
    assert accuracy.cells["rank"].to_dict() == {"coral": "1", "source_only": "2.5", "pca": "2.5"}
    assert accuracy.marks.loc[["source_only", "pca"], "mean"].to_list() == ["second", "second"]
    assert reports.ranking(frame).average_rank.tolist() == [1.0, 2.5, 2.5]
    assert value(transfer, "pca", "mark", "a:b") == value(transfer, "pca", "verdict") == 0


@pytest.mark.parametrize(
    ("number", "decimals", "text"),
    [(-0.04, 1, "0.0"), (0.04, 1, "0.0"), (-0.0, 1, "0.0"), (-0.06, 1, "-0.1"), (0.06, 1, "+0.1"), (-4e-5, 4, "0.0000")],
)
def test_what_rounds_to_zero_has_no_sign(number, decimals, text):
    assert number_text(number, decimals, signed=True) == text
    assert number_text(number, decimals) == text.lstrip("+")
