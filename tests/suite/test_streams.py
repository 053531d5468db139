"""The table `protocol.stream`, targets that come one after the other, and several orders of one stream."""

from __future__ import annotations

from typing import Any

import pytest
from suite_tables import suite_errors, suite_tables
from tiny_suite import CPU, blobs, domain

from tlbench import engine
from tlbench.suite import Suite, parse_suite
from tlbench.suite.streams import StreamOrder

GRANTS = ["source", "stream"]
STREAMED = {"protocol__grants": GRANTS, "domains__c": {"path": "c.npz"}}


def streamed(pairs: list[str], **changes: Any) -> Suite:
    return parse_suite(suite_tables(**{**STREAMED, "pairs__list": pairs, **changes}), "mine.toml")


def test_targets_one_after_the_other_are_one_domain():
    suite = streamed(["a:b>c", "a:b"], protocol__stream={"order": "by_class"})
    assert suite.pairs == ((("a",), "b>c"), (("a",), "b"))
    assert [member.name for member in suite.domains["b>c"].sequence] == ["b", "c"]
    assert suite.protocol.stream.order == "by_class" and not suite.has_own_protocol("b>c")


def test_a_sweep_in_a_sequence_stands_for_all_its_severities():
    swept = {"path": "c.npz", "severity": [1, 2], "shifts": [{"kind": "noise", "sigma": [0.1, 0.2]}]}
    assert streamed(["a:c>b", "a:c"], domains__c=swept).pairs == ((("a",), "c_s1>c_s2>b"), (("a",), "c_s1"), (("a",), "c_s2"))


def test_several_orders_are_one_target_each():
    suite = streamed(["a:b>c", "a:b"], protocol__stream={"order": ["shuffled", "by_class"], "batch": 4})
    names = ["b>c_shuffled", "b>c_by_class", "b_shuffled", "b_by_class"]
    assert [target for _, target in suite.pairs] == names
    assert suite.stream_orders["b>c_by_class"] == StreamOrder("b>c", "by_class")
    assert [suite.protocol_of(name).stream.order for name in names] == ["shuffled", "by_class"] * 2
    assert {suite.protocol_of(name).stream.batch for name in names} == {4}
    assert [suite.base_of(name) for name in names] == ["b>c", "b>c", "b", "b"]
    assert suite.domains["b>c_by_class"].sequence == suite.domains["b>c"].sequence


def test_all_orders_share_the_trained_network_and_have_identities_of_their_own():
    suite = streamed(["a:b"], protocol__stream={"order": ["shuffled", "by_class"]}, net__batch_norm=True, methods__tent={})
    samples = {name: domain(name, blobs(seed, 60)) for name, seed in (("a", 1), ("b", 2))}
    domains = samples | dict.fromkeys(suite.stream_orders, samples["b"])
    records = [engine.run_case(one, suite, domains, CPU) for one in suite.cases(entries=["source_only", "tent"])]
    assert {record.status for record in records} == {"done"}
    assert len({record.identity for record in records}) == 4
    predictions = {(record.entry, record.target): record.scores.predictions for record in records}
    assert predictions["source_only", "b_shuffled"] == predictions["source_only", "b_by_class"]
    windows = {record.target: record.scores.online_accuracy for record in records}
    assert {len(of_target) for of_target in windows.values()} == {20}


def test_a_stream_that_is_not_declared_is_not_in_the_settings_of_a_case():
    suite = parse_suite(suite_tables(), "mine.toml")
    assert "stream" not in suite.hashed_settings()["protocol"]


FAULTS = {
    "no grant": ({"protocol__stream": {}, "protocol__grants": ["source"]}, "Add 'stream' to grants."),
    "an unknown order": ({"protocol__stream": {"order": "sorted"}}, "protocol.stream.order"),
    "an unknown order of several": ({"protocol__stream": {"order": ["shuffled", "sorted"]}}, "must be several different ones"),
    "one order twice": ({"protocol__stream": {"order": ["stored", "stored"]}}, "must be several different ones"),
    "a concentration without classes": ({"protocol__stream": {"concentration": 0.1}}, "is an option of order = 'by_class'"),
    "a reset between mixed domains": (
        {"protocol__stream": {"domains": "mixed", "reset": "each_domain"}},
        "has no meaning with domains = 'mixed'",
    ),
    "an unknown target": ({"pairs__list": ["a:b>d"]}, "Unknown domain 'd'"),
    "a target twice": ({"pairs__list": ["a:b>b"]}, "A domain appears twice"),
    "a source among the targets": ({"pairs__list": ["a:b>a"]}, "A domain appears twice"),
    "label budgets": (
        {"protocol__target_labels": [1, 3], "pairs__list": ["a:b>c", "a:b"], "protocol__scored": "held_out"},
        "Label budgets can't be combined",
    ),
    "a generated name": (
        {"domains__b_stored": {"path": "d.npz"}, "protocol__stream": {"order": ["stored", "shuffled"]}},
        "The orders of protocol.stream generate a domain of this name",
    ),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_an_error_is_reported(fault):
    changes, sentence = FAULTS[fault]
    assert sentence in suite_errors(**{**STREAMED, **changes})
