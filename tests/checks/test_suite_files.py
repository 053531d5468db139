"""Contract checks of suites: the shipped ones pass, and each failure is named."""

from __future__ import annotations

import pytest
from tiny_suite import SUITE

from tlbench import api, checks
from tlbench.errors import TlbenchError
from tlbench.suite import shipped_suites


@pytest.mark.parametrize("name", shipped_suites())
def test_every_shipped_suite_passes_its_checks(name):
    report = checks.check_suite(api.load_suite(name))
    assert not [sentence for sentence in report if "skipped" in sentence or "95 % CI" in sentence]


def test_a_suite_that_fails_its_checks_is_refused(tmp_path):
    text = SUITE.replace("[methods.coral]", '[methods.target_only]\n[methods.again]\nmethod = "source_only"')
    file = tmp_path / "other.toml"
    file.write_text(text.replace("seeds = [0]", 'baseline = "target_only"'), encoding="utf-8")
    with pytest.raises(TlbenchError) as caught:
        checks.check_suite(api.load_suite(file))
    message = str(caught.value)
    for words in (
        "'tiny' is not the file's name, 'other'",
        "target_only reads target_labeled",
        "methods.again: This is the same method",
    ):
        assert words in message


def test_what_a_suite_will_show_is_reported_beforehand(tmp_path):
    file = tmp_path / "tiny.toml"
    file.write_text(SUITE + "[methods.target_only]\n", encoding="utf-8")
    report = checks.check_suite(api.load_suite(file))
    assert "target_only will be skipped: it reads target_labeled, which the suite does not grant." in report
    assert "The suite has 1 seed, and a 95 % CI takes 3." in report


def test_a_metric_without_its_data_is_refused(tmp_path):
    file = tmp_path / "tiny.toml"
    text = SUITE.replace("seeds = [0]", 'seeds = [0]\nmetric = "worst_group_accuracy"')
    file.write_text(text, encoding="utf-8")
    with pytest.raises(TlbenchError, match="'worst_group_accuracy' needs groups, and domain b has none"):
        checks.check_suite(api.load_suite(file))
    file.write_text(text.replace('y = "y"', 'y = "y"\ngroup = "g"'), encoding="utf-8")
    checks.check_suite(api.load_suite(file))
