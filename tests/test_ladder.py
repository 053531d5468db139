"""Ladders of severity: what they stand for, and every mistake in them."""

from __future__ import annotations

import tomllib
from typing import Any

import pytest
from support import SUITE

from tlbench.suite import Suite, parse
from tlbench.suite.ladder import climbed
from tlbench.terms import TlbenchError

LADDER = {
    "severity": [1, 2, 5],
    "path": "b.npz",
    "shifts": ["inversion", {"kind": "part", "index": [0, 1, 2], "of": 3}, {"kind": "scaling", "factor": [1.5, 2.0, 3.0]}],
}


def suite(ladder: Any = LADDER, pairs: Any = None, **domains: Any) -> Suite:
    raw = tomllib.loads(SUITE)
    raw["domains"] = {**raw["domains"], "far": ladder, **domains}
    raw["pairs"] = pairs or {"list": ["a:far"]}
    return parse(raw, "mine.toml")


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
    assert climbed(raw) == (raw, [])
    for odd in ({}, {"domains": 3}, {"domains": {"a": 3}}, {"domains": {"a": {"severity": [1]}}, "pairs": 3}):
        climbed(odd)


def test_what_is_given_is_not_changed() -> None:
    raw = {"domains": {"far": LADDER}, "pairs": {"list": ["far:b"]}}
    before = repr(raw)
    climbed(raw)
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
    with pytest.raises(TlbenchError, match="unknown 'far_s3'; did you mean 'far_s"):
        suite(pairs={"list": ["a:far_s3"]})
