"""Label budgets: the targets that they stand for, the samples that each grants, and every error in them."""

from __future__ import annotations

import tomllib
from typing import Any

import pytest
from tiny_suite import CPU, SUITE, blobs, domain

from tlbench import engine
from tlbench.engine.measurement import PreparedCase
from tlbench.errors import TlbenchError
from tlbench.suite import LabelBudget, Suite, parse_suite


def budgeted(budgets: Any, pairs: Any = None, **protocol: Any) -> Suite:
    raw = tomllib.loads(SUITE)
    raw["protocol"] = {**raw["protocol"], "target_labels": budgets, "scored": "held_out", "seeds": [0, 1], **protocol}
    raw["pairs"] = pairs or {"list": ["a:b"]}
    raw["methods"] = {"source_only": {}, "target_only": {}, "fine_tune": {}}
    return parse_suite(raw, "mine.toml")


def test_label_budgets_are_one_target_each() -> None:
    suite = budgeted([1, 3])
    assert suite.pairs == ((("a",), "b_l1"), (("a",), "b_l3"))
    assert list(suite.domains) == ["a", "b_l1", "b_l3"]
    assert suite.label_budgets == {"b_l1": LabelBudget("b", 1), "b_l3": LabelBudget("b", 3)}
    assert [suite.protocol_of(name).target_labels for name in ("b_l1", "b_l3", "b")] == [1, 3, 0]
    both = budgeted([2], {"all": True})
    assert both.pairs == ((("a",), "b_l2"), (("b",), "a_l2")) and set(both.domains) == {"a", "b", "a_l2", "b_l2"}


def test_a_budget_gives_the_scores_of_a_suite_with_that_many_labels() -> None:
    domains = {name: domain(name, blobs(seed, 60, shift)) for name, seed, shift in (("a", 1, 0.0), ("b", 2, 0.5))}
    swept = domains | {f"b_l{n}": domains["b"] for n in (1, 3, 9)}
    for n in (1, 3):
        plain = budgeted(n)
        for here, there in zip(budgeted([1, 3]).cases(pairs=[f"a:b_l{n}"]), plain.cases(), strict=True):
            swept_record, plain_record = (
                engine.run_case(*of, CPU) for of in ((here, budgeted([1, 3]), swept), (there, plain, domains))
            )
            assert swept_record.status == "done" and swept_record.scores == plain_record.scores
            assert swept_record.target_labels == n


def test_budgets_score_the_same_samples_and_each_grants_those_of_the_smaller_ones() -> None:
    samples = {"a": domain("a", blobs(1, 60)), **dict.fromkeys(("b_l1", "b_l3", "b_l6"), domain("b", blobs(2, 60)))}
    suite = budgeted([1, 3, 6])
    splits = [PreparedCase(case, suite, samples, CPU).case_data for case in suite.cases(entries=["fine_tune"], seeds=[0])]
    labeled = [
        set(split.granted.target_labeled.indices.tolist()) for split in splits if split.granted.target_labeled is not None
    ]
    assert [len(numbers) for numbers in labeled] == [3, 9, 18] and labeled[0] < labeled[1] < labeled[2]
    assert all(split.scored.indices.tolist() == splits[0].scored.indices.tolist() for split in splits)
    assert labeled[2].isdisjoint(splits[0].scored.indices.tolist())


def test_one_more_budget_leaves_the_records_of_the_others_valid() -> None:
    fingerprints = {"a": "1", "b_l1": "2", "b_l3": "2", "b_l5": "2"}
    short, long = budgeted([1, 3]), budgeted([1, 3, 5])
    assert short.hash == long.hash
    (case, other) = (short.cases(pairs=[f"a:b_l{n}"])[0] for n in (1, 3))
    assert engine.identity(case, short, fingerprints) == engine.identity(case, long, fingerprints)
    assert short.hashed_settings("b_l1") != short.hashed_settings("b_l3")
    assert engine.identity(case, short, fingerprints) != engine.identity(other, short, fingerprints)


def test_a_class_with_too_few_samples_for_a_budget_is_reported() -> None:
    suite = budgeted([1, 60])
    samples = {name: domain(name, blobs(2, 60)) for name in ("a", "b_l1", "b_l60")}
    with pytest.raises(TlbenchError, match="domain b_l60") as caught:
        engine.check_pairs(
            suite, {name: one if name == "a" else domain(name, one.samples) for name, one in samples.items()}, suite.pairs
        )
    assert "b_l1 " not in str(caught.value)


@pytest.mark.parametrize("budgets", [[], [0, 1], [1, 1], [True, 2], [1.5], ["1"]])
def test_label_budgets_that_are_none_are_refused(budgets: Any) -> None:
    with pytest.raises(TlbenchError, match="Label budgets must be different whole numbers from 1 on"):
        budgeted(budgets)


def test_label_budgets_hide_no_other_error() -> None:
    raw = tomllib.loads(SUITE)
    raw["protocol"] = {"target_labels": [1, 2]}
    raw["domains"]["b_l1"] = {"path": "c.npz"}
    raw["pairs"] = {"list": ["a:b", "b:b", "a:zzz", 3]}
    with pytest.raises(TlbenchError) as caught:
        parse_suite(raw, "mine.toml")
    message = str(caught.value)
    assert "generate a domain of this name" in message and "pairs.list" in message
    raw["pairs"] = {"list": ["b:b", "a:zzz", "a:b"]}
    with pytest.raises(TlbenchError) as caught:
        parse_suite(raw, "mine.toml")
    assert "A domain appears twice" in str(caught.value) and "'zzz'" in str(caught.value)
