"""The published levels of a baseline beside its own, in captions and in JSON."""

from __future__ import annotations

import json

import pytest
from suite_tables import CHECKS, suite_tables
from toy_records import DANN, SOURCE_ONLY, cells, grid, record

from tlbench import reports
from tlbench.suite import parse_suite

LEVEL = {"entry": "source_only", "values": {"mean": 83.8}, "network": "two convolutions", "source": "A and B, 2020"}
PAIRS = {"pairs": {"all": True}, "name": "toy"}


def toy_suite(*levels, **changes):
    return parse_suite(suite_tables(published=[LEVEL | level for level in levels], **PAIRS, **changes), "toy.toml", CHECKS)


def both_captions(frame, *suites):
    transfer, negative = (reports.tables(frame, kind, suites=suites)[0] for kind in ("transfer", "negative_transfer"))
    return transfer, negative


@pytest.fixture
def frame():
    return reports.frame([*cells("source_only", SOURCE_ONLY), *cells("dann", DANN)])


def test_captions_give_the_level_of_the_baseline_beside_the_published_one(frame):
    for table in both_captions(frame, toy_suite({})):
        assert "source_only: 56.5 per cent; published: 83.8 (mean; A and B, 2020, two convolutions)." in table.caption


def test_levels_of_pairs_are_named_by_pair_and_sources_are_listed(frame):
    levels = [{"values": {"a:b": 88.0, "b:a": 79.7}}, {"source": "C, 2021"}]
    _, table = both_captions(frame, toy_suite(*levels))
    assert (
        "source_only: 56.5 per cent; published: a:b 88.0, b:a 79.7 (A and B, 2020, two convolutions); "
        "83.8 (mean; C, 2021, two convolutions)." in table.caption
    )
    assert [round(of.own, 1) for of in table.published] == [53.0, 60.0, 56.5]


def test_a_level_of_another_metric_is_compared_with_that_metric_and_says_so():
    scores = {"target_accuracy": 0.9, "macro_f1": 0.7}
    records = [
        record(entry, seed=seed, scores=scores, metric="macro_f1") for entry in ("source_only", "dann") for seed in (0, 1, 2)
    ]
    suite = toy_suite({"metric": "target_accuracy"}, protocol__metric="macro_f1")
    _, table = both_captions(reports.frame(records), suite)
    assert "source_only: 70.0 per cent; published: 83.8 (mean, here 90.0; target accuracy, A and B, 2020" in table.caption
    assert table.published[0].own == pytest.approx(90)


def test_of_many_pairs_the_mean_stands_beside_that_of_the_same_pairs_here():
    names = ["a", "b", "c"]
    pairs = [f"{a}:{b}" for a in names for b in names if a != b]
    frame = reports.frame([*cells("source_only", {pair: [0.1 * n] * 3 for n, pair in enumerate(pairs)}), *grid("dann", 0.5)])
    suite = toy_suite({"values": dict.fromkeys(pairs[2:], 40.0)}, domains__c={"path": "c.npz"})
    _, table = both_captions(frame, suite)
    assert "source_only: 25.0 per cent; published: 40.0 (mean of 4 pairs, here 35.0; A and B" in table.caption


def test_without_a_published_level_the_own_one_stands_there(frame):
    for table in both_captions(frame):
        assert "source_only: 56.5 per cent." in table.caption and "published" not in table.caption
        assert table.published == ()


def test_a_missing_run_of_the_baseline_leaves_its_level_out():
    incomplete = {"a:b": SOURCE_ONLY["a:b"], "b:a": SOURCE_ONLY["b:a"][:2]}
    _, table = both_captions(reports.frame([*cells("source_only", incomplete), *cells("dann", DANN)]), toy_suite({}))
    assert "source_only; published: 83.8 (mean;" in table.caption
    assert table.published[0].own is None


def test_the_levels_of_another_version_are_not_shown(frame):
    _, table = both_captions(frame, toy_suite({}, version=2))
    assert table.published == ()


def test_the_json_of_a_table_holds_the_levels(frame):
    text = reports.render(reports.tables(frame, "negative_transfer", suites=[toy_suite({})]), "json")
    (table,) = json.loads(text)["tables"]
    (level,) = table["published"]
    assert level["value"] == 83.8 and level["own"] == pytest.approx(56.5) and level["unit"] == "per cent"
    assert level["pair"] == "mean" and level["source"] == "A and B, 2020"
