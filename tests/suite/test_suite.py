"""A checked suite: its cases, its pairs, and the hash of its settings."""

from __future__ import annotations

import pytest
from suite_tables import CHECKS, suite_tables

from tlbench.errors import TlbenchError
from tlbench.suite import digest, parse_suite


def test_the_tiny_suite_has_its_cases():
    suite = parse_suite(suite_tables(), "mine.toml", CHECKS)
    assert suite.pairs == ((("a",), "b"),)
    assert [case.entry for case in suite.cases()] == ["source_only", "coral"]
    assert suite.cases()[0].pair == "a:b"


def test_filters_select_cases_and_unknown_names_are_refused():
    suite = parse_suite(suite_tables(pairs={"all": True}, protocol__seeds=[0, 1]), "mine.toml", CHECKS)
    assert len(suite.cases()) == 8
    assert [(c.entry, c.pair, c.seed) for c in suite.cases(["coral"], ["b:a"], [1])] == [("coral", "b:a", 1)]
    assert [c.seed for c in suite.cases(["coral"], ["b:a"], [7])] == [7]
    with pytest.raises(TlbenchError) as raised:
        suite.cases(["corral"], ["b:c"])
    assert "--method: Unknown method entry 'corral' of suite tiny. Did you mean 'coral'?" in str(raised.value)
    assert "--pair: Unknown pair 'b:c' of suite tiny. Did you mean 'b:a'?" in str(raised.value)


def test_pairs():
    three = {"domains__c": {"path": "c.npz"}}
    assert len(parse_suite(suite_tables(pairs={"all": True}, **three), "x", CHECKS).pairs) == 6
    several = parse_suite(suite_tables(pairs={"list": ["a+b:c", "a:b", "a:b"]}, **three), "x", CHECKS)
    assert several.pairs == ((("a", "b"), "c"), (("a",), "b"))
    assert several.cases(pairs=["a+b:c"])[0].sources == ("a", "b")


def test_two_entries_of_one_method():
    suite = parse_suite(suite_tables(methods={"source_only": {}, "weak": {"method": "dann", "weight": 0.1}}), "x", CHECKS)
    weak = suite.cases(["weak"])[0]
    assert (weak.entry, weak.method, weak.options) == ("weak", "dann", {"weight": 0.1})


def test_the_hash_follows_the_settings_that_decide_numbers_and_no_others():
    plain = parse_suite(suite_tables(), "x", CHECKS).hash
    for same in ({"title": "t"}, {"protocol__seeds": [0, 1]}, {"methods__dann": {}}, {"protocol__metric": "macro_f1"}):
        assert parse_suite(suite_tables(**same), "x", CHECKS).hash == plain, same
    for other in ({"train__steps": 6}, {"net__hidden": [9]}, {"protocol__target_labels": 1}, {"net__mean": 0.4}):
        assert parse_suite(suite_tables(**other), "x", CHECKS).hash != plain, other


def test_digest_never_changes():
    assert digest({"b": [1, 2.5, "é"], "a": None}) == digest({"a": None, "b": [1, 2.5, "é"]})
    assert digest({"a": 1}) == "015abd7f5cc57a2d"
