"""Published levels: `[[published]]` of a suite file, checked, and part of no identity."""

from __future__ import annotations

from typing import Any

import pytest
from suite_tables import CHECKS, suite_errors, suite_tables

from tlbench.suite import load_suite, locate_suite, parse_suite, shipped_published_levels, shipped_suites

LEVEL = {"entry": "source_only", "values": {"a:b": 83.8}, "network": "LeNet", "source": "A and B, 2020"}


def suite_with(**changes: Any):
    return parse_suite(suite_tables(published=[LEVEL | changes]), "mine.toml", CHECKS)


def test_a_level_has_the_metric_of_its_suite_unless_it_names_one() -> None:
    assert suite_with().published[0].metric == "target_accuracy"
    assert suite_with(metric="macro_f1").published[0].metric == "macro_f1"
    assert suite_with(values={"mean": 83}, url="https://example.org/table").published[0].values == {"mean": 83.0}


def test_levels_change_no_identity() -> None:
    plain = parse_suite(suite_tables(), "mine.toml", CHECKS)
    assert suite_with().hash == plain.hash and suite_with().hashed_settings("b") == plain.hashed_settings("b")
    assert suite_with().cases() == plain.cases()


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"entry": "sorce_only"}, "published[0].entry: Unknown method entry 'sorce_only'. Did you mean 'source_only'?"),
        ({"values": {"b:a": 83.8}}, "published[0].values: Unknown pair 'b:a'. Available: mean, a:b."),
        ({"values": {}}, "published[0].values = {} should have at least 1 item"),
        ({"metric": "acuracy"}, "published[0].metric: Unknown metric 'acuracy'."),
        (
            {"values": {"mean": 0.838}},
            "published[0].values.mean = 0.838 is not in per cent. Give it as tables show it, such as 83.8.",
        ),
        ({"values": {"a:b": 838.0}}, "published[0].values.a:b = 838 is not in per cent."),
        ({"values": {"mean": float("nan")}}, "published[0].values.mean = nan should be a finite number."),
        ({"url": "example.org"}, "published[0].url = 'example.org' should match pattern"),
        ({"source": ""}, "published[0].source = '' should have at least 1 character"),
        ({"papr": "x"}, "published[0]: Unknown key 'papr'."),
    ],
)
def test_an_error_of_a_level_is_one_sentence(changes: dict[str, Any], sentence: str) -> None:
    assert sentence in suite_errors(published=[LEVEL | changes])


def test_levels_that_are_no_list_are_refused() -> None:
    assert "published = 3 should be a valid list" in suite_errors(published=3)


@pytest.mark.parametrize("name", shipped_suites())
def test_the_levels_of_a_shipped_suite_are_those_of_its_file(name: str) -> None:
    suite = load_suite(locate_suite(name), CHECKS)
    assert shipped_published_levels(name, suite.version) == suite.published
    assert shipped_published_levels(name, suite.version + 1) == ()
    assert all(level.url for level in suite.published)


def test_the_suites_whose_baselines_have_published_levels() -> None:
    named = {"mnist_usps", "ucihar", "wisdm", "amazon_reviews_bow", "office_caltech10_surf", "office_caltech10_surf_tables"}
    for name in named:
        suite = load_suite(locate_suite(name), CHECKS)
        assert {level.entry for level in suite.published} == {suite.protocol.baseline}, name
    assert shipped_published_levels("nosuch", 1) == ()
