"""The tables of scores: the metric of a suite and the deltas against its baselines."""

import numpy as np
import pytest
from scipy import stats
from toy_records import DANN, SOURCE_ONLY, cells, record, value

from tlbench import reports
from tlbench.errors import TlbenchError


@pytest.fixture
def two_entries():
    return reports.frame([*cells("source_only", SOURCE_ONLY), *cells("dann", DANN)])


def test_means_and_intervals_are_those_of_scipy(two_entries):
    table = reports.accuracy(two_entries)
    for pair, scores in DANN.items():
        low, high = stats.t.interval(0.95, 2, np.mean(scores) * 100, stats.sem(scores) * 100)
        assert value(table, "dann", "mean", pair) == pytest.approx(np.mean(scores) * 100)
        assert value(table, "dann", "low", pair) == pytest.approx(low)
        assert value(table, "dann", "high", pair) == pytest.approx(high)
    assert value(table, "dann", "n", "a:b") == 3
    # two pairs of equal size: the margin of the mean is half of that of Welch's interval for a difference
    welch = stats.ttest_ind(DANN["a:b"], DANN["b:a"], equal_var=False).confidence_interval(0.95)
    margin = 100 * (welch.high - welch.low) / 2 / 2
    assert value(table, "dann", "mean") == pytest.approx(59.3333, abs=1e-4)
    assert value(table, "dann", "high") - value(table, "dann", "mean") == pytest.approx(margin)
    assert table.cells.loc["dann", "mean"] == f"59.3 ± {margin:.1f}"
    assert table.cells.columns.to_list() == ["mean", "IQM", "rank", "a:b", "b:a"]
    for phrase in ("3 seeds", "other seeds", "2 pairs", "last step of a fixed budget"):
        assert phrase in table.caption


def test_best_first_and_ties_share_the_average_rank():
    rows = {"low": 0.3, "tie_a": 0.7, "high": 0.9, "tie_b": 0.7}
    table = reports.accuracy(reports.frame([record(row, accuracy=score) for row, score in rows.items()]))
    assert table.cells["rank"].to_dict() == {"high": "1", "tie_a": "2.5", "tie_b": "2.5", "low": "4"}
    assert table.cells.index.to_list() == ["high", "tie_a", "tie_b", "low"]


def test_a_partial_entry_has_blanks_and_neither_mean_nor_rank():
    partial = [*cells("partial", {"a:b": [0.99, 0.99, 0.99], "b:a": [0.99, 0.98]})]
    partial.append(record("partial", "b:a", 2, None, status="failed", reason="the loss is not finite"))
    skipped = [
        record("target_probe", pair, seed, None, status="skipped", reason="reads target_labeled, not granted")
        for pair in SOURCE_ONLY
        for seed in range(3)
    ]
    table = reports.accuracy(reports.frame([*partial, *cells("source_only", SOURCE_ONLY), *skipped]))
    assert table.cells.loc["partial"].to_list() == ["", "", "", "99.0 ± 0.0", ""]
    assert table.cells.loc["target_probe"].to_list() == ["", "", "", "", ""]
    assert table.cells.loc["source_only", "rank"] == "1"
    assert table.cells.index[0] == "source_only"
    assert value(table, "partial", "mean") is None
    assert value(table, "partial", "n", "b:a") == 2
    assert "2 incomplete entries" in table.caption
    assert "partial (1 of 2 pairs), target_probe (0 of 2 pairs)" in table.caption
    assert "1 of 18 cases failed: the loss is not finite (partial)." in table.caption
    assert "6 of 18 cases skipped: reads target_labeled, not granted (target_probe)." in table.caption


@pytest.mark.parametrize("status", ["done", "failed"])
def test_a_pair_that_any_record_shows_is_missed_in_all_other_entries(status):
    only_here = record("dann", "c:d", 0, 0.5, status=status)
    table = reports.accuracy(reports.frame([*cells("source_only", {"a:b": [0.5]}), only_here]))
    assert (table.cells["mean"] == "").all()


def test_a_score_in_a_record_that_is_not_done_counts_nowhere_but_its_seed_is_missed():
    records = [*cells("dann", {"a:b": [0.5, 0.6, 0.7]}), record("coral", "a:b", 3, 0.9, status="failed")]
    table = reports.accuracy(reports.frame(records))
    assert (table.cells[["mean", "a:b"]] == "").all(axis=None)
    assert (value(table, "dann", "n", "a:b"), value(table, "coral", "n", "a:b")) == (3, 0)


def test_one_seed_has_no_interval_and_two_are_too_few():
    one = reports.accuracy(reports.frame(cells("dann", {"a:b": [0.51], "b:a": [0.61]})))
    assert one.cells.loc["dann"].to_list() == ["56.0", "56.0", "1", "51.0", "61.0"]
    assert "1 seed" in one.caption and "no 95 % CI" in one.caption
    two = reports.accuracy(reports.frame(cells("dann", {"a:b": [0.5, 0.6], "b:a": [0.6, 0.7]})))
    assert two.cells.loc["dann"].to_list() == ["60.0", "60.0", "1", "55.0", "65.0"]
    assert "no 95 % CI, which takes 3 seeds" in two.caption
    assert not set(two.data["quantity"]) & {"low", "high"}


def test_a_deterministic_entry_has_no_interval_and_full_precision():
    table = reports.accuracy(reports.frame(cells("nearest", {"a:b": [0.2370] * 3, "b:a": [0.1] * 3})))
    assert table.cells.loc["nearest", ["mean", "a:b"]].to_list() == ["16.9", "23.7"]
    assert value(table, "nearest", "low") is value(table, "nearest", "high") is None
    assert value(table, "nearest", "mean", "a:b") == pytest.approx(23.70, abs=1e-9)


def test_the_metric_named_in_the_records_is_shown():
    scores = {"target_accuracy": 0.9, "macro_f1": 0.4}
    table = reports.accuracy(reports.frame([record(metric="macro_f1", scores=scores)]))
    assert table.cells.loc["source_only", "mean"] == "40.0"
    assert "macro F1" in table.title
    with pytest.raises(TlbenchError, match="Unknown metric 'auc'"):
        reports.accuracy(reports.frame([record(metric="auc")]))


def test_an_entry_that_mixes_options_is_named():
    mixed = [record("dann", seed=0, options={"weight": 1}), record("dann", seed=1, options={"weight": 3})]
    assert "different options are mixed in entry dann" in reports.accuracy(reports.frame(mixed)).caption
    assert "options" not in reports.accuracy(reports.frame(mixed[:1])).caption


def test_the_delta_is_paired_by_pair_and_seed(two_entries):
    (table,) = reports.transfer(two_entries)
    deltas = {pair: 100 * (np.array(DANN[pair]) - SOURCE_ONLY[pair]) for pair in DANN}
    assert table.title == "toy v1: adaptation delta against source_only"
    assert table.cells.index.to_list() == ["dann"]
    for pair, delta in deltas.items():
        assert value(table, "dann", "mean", pair) == pytest.approx(delta.mean())
        # the two pairs vary alike, so that their common variance stands for both: 2 + 2 degrees of freedom
        pooled = np.sqrt(np.mean([one.var(ddof=1) for one in deltas.values()]) / 3)
        low, high = stats.t.interval(0.95, 4, delta.mean(), pooled)
        assert value(table, "dann", "low", pair) == pytest.approx(low)
        assert value(table, "dann", "high", pair) == pytest.approx(high)
    welch = stats.ttest_ind(deltas["a:b"], deltas["b:a"], equal_var=False).confidence_interval(0.95)
    assert value(table, "dann", "high") - value(table, "dann", "low") == pytest.approx((welch.high - welch.low) / 2)
    shown = table.cells.loc["dann"]
    assert shown["verdict"] == "n.s."
    assert shown["pairs worse"] == "1 / 2"
    assert shown["worst pair"] == "b:a -3.3"
    assert shown["a:b"].startswith("+9.0 ± ")
    assert value(table, "dann", "worst", "b:a") == pytest.approx(-10 / 3)


def test_a_shared_noise_of_the_seeds_cancels_in_the_delta():
    noise = [0.1, 0.3, 0.2]
    base = cells("source_only", {"a:b": [0.4 + n for n in noise]})
    better = cells("dann", {"a:b": [0.41 + n for n in noise]})
    (table,) = reports.transfer(reports.frame([*base, *better]))
    assert table.cells.loc["dann", ["mean delta", "verdict"]].to_list() == ["+1.0 ± 0.0", "better"]


def test_dann_is_worse_on_partial_office_31():
    """Published negative transfer: source-only 90.1, DANN 82.4 on the mean of six pairs."""
    shift = {"A:W": -3.0, "A:D": -1.0, "W:A": 2.0, "W:D": 4.0, "D:A": -4.0, "D:W": 2.0}
    spread = {"source_only": [-0.4, 0.1, 0.3], "dann": [0.9, -1.3, 0.4]}
    level = {"source_only": 90.1, "dann": 82.4}
    records = [
        record(row, pair, seed, (level[row] + by + noise) / 100, suite="office31_partial")
        for row in level
        for pair, by in shift.items()
        for seed, noise in enumerate(spread[row])
    ]
    (table,) = reports.transfer(reports.frame(records))
    assert value(table, "dann", "mean") == pytest.approx(-7.7)
    assert value(table, "dann", "high") < 0
    shown = table.cells.loc["dann"]
    assert shown["verdict"] == "worse"
    assert shown["mean delta"].startswith("-7.7 ± ")
    assert shown["pairs worse"] == "6 / 6, 6 *"
    assert shown["pairs better"] == "0 / 6"
    assert all(shown[pair].endswith(" *") for pair in shift)
    (negative,) = reports.negative_transfer(reports.frame(records))
    assert negative.cells.loc["dann", ["worse %", "P(better)"]].to_list() == ["100", "0.00"]
    text = reports.render([table])
    assert "worse" in next(line for line in text.splitlines() if line.startswith("dann"))


def test_a_seed_missing_in_the_baseline_blanks_the_pair_in_every_entry():
    base = {"a:b": [0.5, 0.5], "b:a": [0.5, 0.5, 0.5]}
    (table,) = reports.transfer(reports.frame([*cells("source_only", base), *cells("dann", DANN)]))
    assert table.cells.loc["dann", ["mean delta", "verdict", "pairs worse", "worst pair", "a:b"]].to_list() == [""] * 5
    assert table.cells.loc["dann", "b:a"].startswith("+6.7")
    assert value(table, "dann", "n", "a:b") == 2
    assert "dann (1 of 2 pairs)" in table.caption


def test_without_an_interval_there_is_no_verdict():
    one = [*cells("source_only", {"a:b": [0.5]}), *cells("dann", {"a:b": [0.4]})]
    (table,) = reports.transfer(reports.frame(one))
    assert table.cells.loc["dann"].to_list() == ["-10.0", "", "0 / 1", "1 / 1", "a:b -10.0", "-10.0"]
    assert "there is no verdict" in table.caption


def test_equal_scores_are_no_difference_and_worse_on_no_pair():
    same = [*cells("source_only", SOURCE_ONLY), *cells("same", SOURCE_ONLY)]
    (table,) = reports.transfer(reports.frame(same))
    assert table.cells.loc["same", ["mean delta", "verdict", "pairs worse"]].to_list() == [
        "0.0 ± 0.0",
        "equal",
        "0 / 2",
    ]


def test_a_baseline_without_records_leaves_blanks_and_says_so():
    (table,) = reports.transfer(reports.frame(cells("dann", DANN)))
    assert (table.cells == "").all(axis=None)
    assert "no record of source_only" in table.caption


def test_with_granted_labels_target_only_stands_beside_the_baseline():
    rows = {"source_only": 0.5, "alone": 0.7, "fine_tune": 0.8}
    method = {"alone": "target_only"}

    def made(labels):
        return reports.frame(
            [record(row, accuracy=score, method=method.get(row, row), target_labels=labels) for row, score in rows.items()]
        )

    adaptation, transfer = reports.transfer(made(labels=3))
    assert transfer.title == "toy v1: transfer delta against alone"
    assert transfer.cells["mean delta"].to_dict() == {"fine_tune": "+10.0", "source_only": "-20.0"}
    assert adaptation.cells["mean delta"].to_dict() == {"fine_tune": "+30.0", "alone": "+20.0"}
    assert len(reports.transfer(made(labels=0))) == 1


def test_no_baseline_or_nothing_beside_it_makes_no_table():
    assert reports.transfer(reports.frame([record(baseline=None), record("dann", baseline=None)])) == []
    assert reports.transfer(reports.frame([record()])) == []


def test_where_lower_is_better_the_lowest_is_best_and_a_lower_error_is_a_gain():
    def made(row, errors):
        return [
            record(row, pair, seed, metric="rmse", task="regression", scores={"rmse": error + 0.001 * seed, "r2": 0.5})
            for pair, error in zip(("a:b", "b:a"), errors, strict=True)
            for seed in range(3)
        ]

    frame = reports.frame([*made("source_only", (0.2, 0.4)), *made("coral", (0.1, 0.2)), *made("dann", (0.35, 0.5))])
    accuracy, (transfer,), (negative,) = reports.accuracy(frame), reports.transfer(frame), reports.negative_transfer(frame)
    assert accuracy.cells["rank"].to_dict() == {"coral": "1", "source_only": "2", "dann": "3"}
    assert accuracy.cells.loc["coral", "mean"].startswith("0.151 ± ")
    assert accuracy.marks["mean"].to_dict() == {"coral": "best", "source_only": "second", "dann": ""}
    assert "lower is better" in accuracy.caption
    assert transfer.cells["verdict"].to_dict() == {"coral": "better", "dann": "worse"}
    assert transfer.cells.loc["dann", ["pairs worse", "worst pair"]].to_list() == ["2 / 2, 2 *", "a:b +0.150"]
    assert negative.cells["P(better)"].to_dict() == {"coral": "1.00", "dann": "0.00"}
    assert "a delta below zero is a gain" in transfer.caption
    ranks = reports.ranking(frame)
    assert ranks.entries == ("coral", "source_only", "dann")
