"""Ladders of severity and of granted labels: what they stand for, and every mistake in them."""

from __future__ import annotations

import tomllib
from typing import Any

import pytest
from tiny_suite import CPU, SUITE, blobs, domain

from tlbench import engine
from tlbench.engine.measurement import PreparedCase
from tlbench.errors import TlbenchError
from tlbench.suite import LabelBudget, Suite, parse_suite
from tlbench.suite.sweeps import expand_severities

LADDER = {
    "severity": [1, 2, 5],
    "path": "b.npz",
    "shifts": ["inversion", {"kind": "part", "index": [0, 1, 2], "of": 3}, {"kind": "scaling", "factor": [1.5, 2.0, 3.0]}],
}


def suite(ladder: Any = LADDER, pairs: Any = None, **domains: Any) -> Suite:
    raw = tomllib.loads(SUITE)
    raw["domains"] = {**raw["domains"], "far": ladder, **domains}
    raw["pairs"] = pairs or {"list": ["a:far"]}
    return parse_suite(raw, "mine.toml")


def refused(**keys: Any) -> str:
    ladder = {key: value for key, value in {**LADDER, **keys}.items() if value is not None}
    with pytest.raises(TlbenchError) as caught:
        suite(ladder)
    said = str(caught.value).splitlines()
    assert len(said) == 2, said  # one mistake, and nothing that follows from it
    return said[1].strip()


def test_a_ladder_is_one_domain_a_step() -> None:
    made = suite()
    assert list(made.domains) == ["a", "b", "far_s1", "far_s2", "far_s5"]
    assert list(made.pairs) == [(("a",), "far_s1"), (("a",), "far_s2"), (("a",), "far_s5")]
    for i, name in enumerate(("far_s1", "far_s2", "far_s5")):
        shifts = made.domains[name].shifts
        assert [shift.kind for shift in shifts] == ["inversion", "part", "scaling"]
        assert shifts[1].options == {"index": i, "of": 3, "seed": 0}
        assert shifts[2].options["factor"] == (1.5, 2.0, 3.0)[i]
        assert made.domains[name].main == made.domains["b"].main


def test_a_step_can_be_named_and_a_ladder_stands_on_either_side() -> None:
    pairs = {"list": ["far_s2:b", "far:a", "a+far:b", "far_s1+a:far_s5"]}
    said = ["+".join(sources) + ":" + target for sources, target in suite(pairs=pairs).pairs]
    assert said[0] == "far_s2:b" and said[-1] == "far_s1+a:far_s5"
    assert said[1:4] == ["far_s1:a", "far_s2:a", "far_s5:a"]
    assert said[4:7] == ["a+far_s1:b", "a+far_s2:b", "a+far_s5:b"]
    assert len(suite(pairs={"all": True}).pairs) == 5 * 4


def test_an_option_that_is_a_list_is_a_list_of_lists() -> None:
    shift = {"kind": "label_shift", "priors": [[0.5, 0.3, 0.2], [0.6, 0.3, 0.1], [0.8, 0.1, 0.1]]}
    made = suite({"severity": [1, 2, 3], "path": "b.npz", "shifts": [shift]})
    assert made.domains["far_s3"].shifts[0].options["priors"] == [0.8, 0.1, 0.1]


def test_a_suite_without_ladders_is_left_as_it_is() -> None:
    raw = tomllib.loads(SUITE)
    assert expand_severities(raw) == (raw, [])
    for odd in ({}, {"domains": 3}, {"domains": {"a": 3}}, {"domains": {"a": {"severity": [1]}}, "pairs": 3}):
        expand_severities(odd)


def test_what_is_given_is_not_changed() -> None:
    raw = {"domains": {"far": LADDER}, "pairs": {"list": ["far:b"]}}
    before = repr(raw)
    expand_severities(raw)
    assert repr(raw) == before


@pytest.mark.parametrize(
    ("keys", "said"),
    [
        ({"severity": 3}, "domains.far: severity = 3 must be a list of whole numbers"),
        ({"severity": []}, "must be a list of whole numbers"),
        ({"severity": [0.5, 1]}, "must be a list of whole numbers"),
        ({"severity": [True, 2]}, "must be a list of whole numbers"),
        ({"severity": [1, 1, 2]}, "a step stands in it twice"),
        (
            {"shifts": [{"kind": "scaling", "factor": [1.0, 2.0]}]},
            "domains.far: shifts[0] (scaling): factor has 2 values for 3 steps of severity; give one a step",
        ),
        ({"shifts": None}, "severity needs shifts of the domain's own"),
        ({"shifts": ["inversion"]}, "severity needs a shift option with one value a step"),
    ],
)
def test_a_mistake_is_said_once(keys: dict[str, Any], said: str) -> None:
    assert said in refused(**keys)


def test_mistakes_of_a_step_name_the_step() -> None:
    with pytest.raises(TlbenchError, match=r"domains\.far_s2\.shifts\[0\] \(scaling\): factor = -2\.0 should be greater"):
        suite({"severity": [1, 2], "path": "b.npz", "shifts": [{"kind": "scaling", "factor": [1.0, -2.0]}]})
    with pytest.raises(TlbenchError, match="its step 'far_s2' is another domain's name"):
        suite(far_s2={"path": "a.npz"})
    with pytest.raises(TlbenchError, match=r"'far_s3'. Did you mean 'far_s"):
        suite(pairs={"list": ["a:far_s3"]})


# --- ladders of labels


def labelled(labels: Any, pairs: Any = None, **protocol: Any) -> Suite:
    raw = tomllib.loads(SUITE)
    raw["protocol"] = {**raw["protocol"], "target_labels": labels, "scored": "held_out", "seeds": [0, 1], **protocol}
    raw["pairs"] = pairs or {"list": ["a:b"]}
    raw["methods"] = {"source_only": {}, "target_only": {}, "fine_tune": {}}
    return parse_suite(raw, "mine.toml")


def test_a_ladder_of_labels_is_one_target_a_step() -> None:
    made = labelled([1, 3])
    assert made.pairs == ((("a",), "b_l1"), (("a",), "b_l3"))
    assert list(made.domains) == ["a", "b_l1", "b_l3"]
    assert made.rungs == {"b_l1": LabelBudget("b", 1), "b_l3": LabelBudget("b", 3)}
    assert [made.protocol_of(name).target_labels for name in ("b_l1", "b_l3", "b")] == [1, 3, 0]
    both = labelled([2], {"all": True})
    assert both.pairs == ((("a",), "b_l2"), (("b",), "a_l2")) and set(both.domains) == {"a", "b", "a_l2", "b_l2"}


def test_a_step_is_the_suite_that_grants_as_many_without_a_ladder() -> None:
    rows = {name: domain(name, blobs(seed, 60, shift)) for name, seed, shift in (("a", 1, 0.0), ("b", 2, 0.5))}
    ladder = rows | {f"b_l{n}": rows["b"] for n in (1, 3, 9)}
    for n in (1, 3):
        plain = labelled(n)
        for here, there in zip(labelled([1, 3]).cases(pairs=[f"a:b_l{n}"]), plain.cases(), strict=True):
            on_ladder, alone = (engine.run_case(*of, CPU) for of in ((here, labelled([1, 3]), ladder), (there, plain, rows)))
            assert on_ladder.status == "done" and on_ladder.scores == alone.scores
            assert on_ladder.target_labels == n


def test_steps_score_the_same_rows_and_grant_those_of_the_step_before() -> None:
    rows = {"a": domain("a", blobs(1, 60)), **dict.fromkeys(("b_l1", "b_l3", "b_l6"), domain("b", blobs(2, 60)))}
    made = labelled([1, 3, 6])
    parts = [PreparedCase(case, made, rows, CPU).parts for case in made.cases(rows=["fine_tune"], seeds=[0])]
    few = [set(part.granted.target_labeled.numbers.tolist()) for part in parts if part.granted.target_labeled is not None]
    assert [len(some) for some in few] == [3, 9, 18] and few[0] < few[1] < few[2]
    assert all(part.scored.numbers.tolist() == parts[0].scored.numbers.tolist() for part in parts)
    assert few[2].isdisjoint(parts[0].scored.numbers.tolist())


def test_a_step_more_leaves_the_records_of_the_others_valid() -> None:
    prints = {"a": "1", "b_l1": "2", "b_l3": "2", "b_l5": "2"}
    short, long = labelled([1, 3]), labelled([1, 3, 5])
    assert short.hash == long.hash
    (case, other) = (short.cases(pairs=[f"a:b_l{n}"])[0] for n in (1, 3))
    assert engine.identity(case, short, prints) == engine.identity(case, long, prints)
    assert short.decides("b_l1") != short.decides("b_l3")
    assert engine.identity(case, short, prints) != engine.identity(other, short, prints)


def test_a_class_with_too_few_rows_for_a_step_is_said() -> None:
    made = labelled([1, 60])
    rows = {name: domain(name, blobs(2, 60)) for name in ("a", "b_l1", "b_l60")}
    with pytest.raises(TlbenchError, match="domain b_l60") as caught:
        engine.check_pairs(
            made, {name: one if name == "a" else domain(name, one.samples) for name, one in rows.items()}, made.pairs
        )
    assert "b_l1 " not in str(caught.value)


@pytest.mark.parametrize("labels", [[], [0, 1], [1, 1], [True, 2], [1.5], ["1"]])
def test_a_ladder_of_labels_that_is_none_is_refused(labels: Any) -> None:
    with pytest.raises(TlbenchError, match="a ladder is of different whole numbers from 1 on"):
        labelled(labels)


def test_a_ladder_of_labels_does_not_hide_other_mistakes() -> None:
    raw = tomllib.loads(SUITE)
    raw["protocol"] = {"target_labels": [1, 2]}
    raw["domains"]["b_l1"] = {"path": "c.npz"}
    raw["pairs"] = {"list": ["a:b", "b:b", "a:zzz", 3]}
    with pytest.raises(TlbenchError) as caught:
        parse_suite(raw, "mine.toml")
    said = str(caught.value)
    assert "makes a domain of this name" in said and "pairs.list" in said
    raw["pairs"] = {"list": ["b:b", "a:zzz", "a:b"]}
    with pytest.raises(TlbenchError) as caught:
        parse_suite(raw, "mine.toml")
    assert "stands in it twice" in str(caught.value) and "'zzz'" in str(caught.value)
