"""Severity sweeps: the domains and pairs that they stand for, and every error in them."""

from __future__ import annotations

import tomllib
from typing import Any

import pytest
from tiny_suite import SUITE

from tlbench.errors import TlbenchError
from tlbench.suite import Suite, parse_suite
from tlbench.suite.sweeps import expand_severities
from tlbench.terms import SweepLevel

SWEEP = {
    "severity": [1, 2, 5],
    "path": "b.npz",
    "shifts": ["inversion", {"kind": "part", "index": [0, 1, 2], "of": 3}, {"kind": "scaling", "factor": [1.5, 2.0, 3.0]}],
}


def suite(sweep: Any = SWEEP, pairs: Any = None, **domains: Any) -> Suite:
    raw = tomllib.loads(SUITE)
    raw["domains"] = {**raw["domains"], "far": sweep, **domains}
    raw["pairs"] = pairs or {"list": ["a:far"]}
    return parse_suite(raw, "mine.toml")


def sweep_error(**keys: Any) -> str:
    sweep = {key: value for key, value in {**SWEEP, **keys}.items() if value is not None}
    with pytest.raises(TlbenchError) as caught:
        suite(sweep)
    lines = str(caught.value).splitlines()
    assert len(lines) == 2, lines  # one error, and none that follows from it
    return lines[1].strip()


def test_a_sweep_is_one_domain_per_severity() -> None:
    swept = suite()
    assert list(swept.domains) == ["a", "b", "far_s1", "far_s2", "far_s5"]
    assert list(swept.pairs) == [(("a",), "far_s1"), (("a",), "far_s2"), (("a",), "far_s5")]
    for i, name in enumerate(("far_s1", "far_s2", "far_s5")):
        shifts = swept.domains[name].shifts
        assert [shift.kind for shift in shifts] == ["inversion", "part", "scaling"]
        assert shifts[1].options == {"index": i, "of": 3, "seed": 0}
        assert shifts[2].options["factor"] == (1.5, 2.0, 3.0)[i]
        assert swept.domains[name].main == swept.domains["b"].main


def test_a_severity_can_be_named_and_a_sweep_may_be_source_or_target() -> None:
    pairs = {"list": ["far_s2:b", "far:a", "a+far:b", "far_s1+a:far_s5"]}
    labels = ["+".join(sources) + ":" + target for sources, target in suite(pairs=pairs).pairs]
    assert labels[0] == "far_s2:b" and labels[-1] == "far_s1+a:far_s5"
    assert labels[1:4] == ["far_s1:a", "far_s2:a", "far_s5:a"]
    assert labels[4:7] == ["a+far_s1:b", "a+far_s2:b", "a+far_s5:b"]
    assert len(suite(pairs={"all": True}).pairs) == 5 * 4


def test_an_option_that_is_a_list_is_a_list_of_lists() -> None:
    shift = {"kind": "label_shift", "priors": [[0.5, 0.3, 0.2], [0.6, 0.3, 0.1], [0.8, 0.1, 0.1]]}
    swept = suite({"severity": [1, 2, 3], "path": "b.npz", "shifts": [shift]})
    assert swept.domains["far_s3"].shifts[0].options["priors"] == [0.8, 0.1, 0.1]


def test_a_suite_without_sweeps_is_unchanged() -> None:
    raw = tomllib.loads(SUITE)
    assert expand_severities(raw) == (raw, [])
    for odd in ({}, {"domains": 3}, {"domains": {"a": 3}}, {"domains": {"a": {"severity": [1]}}, "pairs": 3}):
        expand_severities(odd)


def test_the_tables_that_are_passed_are_unchanged() -> None:
    raw = {"domains": {"far": SWEEP}, "pairs": {"list": ["far:b"]}}
    before = repr(raw)
    expand_severities(raw)
    assert repr(raw) == before


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"severity": 3}, "domains.far: severity = 3 must be a list of whole numbers"),
        ({"severity": []}, "must be a list of whole numbers"),
        ({"severity": [0.5, 1]}, "must be a list of whole numbers"),
        ({"severity": [True, 2]}, "must be a list of whole numbers"),
        ({"severity": [1, 1, 2]}, "severity: A severity appears twice."),
        (
            {"shifts": [{"kind": "scaling", "factor": [1.0, 2.0]}]},
            "domains.far: shifts[0] (scaling): factor has 2 values for 3 severities. Give one value per severity.",
        ),
        ({"shifts": None}, "severity: The domain has no shifts."),
        ({"shifts": ["inversion"]}, "severity: No shift option varies."),
    ],
)
def test_an_error_is_reported_once(keys: dict[str, Any], message: str) -> None:
    assert message in sweep_error(**keys)


def test_errors_of_a_severity_name_its_domain() -> None:
    with pytest.raises(TlbenchError, match=r"domains\.far_s2\.shifts\[0\] \(scaling\): factor = -2\.0 should be greater"):
        suite({"severity": [1, 2], "path": "b.npz", "shifts": [{"kind": "scaling", "factor": [1.0, -2.0]}]})
    with pytest.raises(TlbenchError, match="The sweep generates 'far_s2', which another domain is called"):
        suite(far_s2={"path": "a.npz"})
    with pytest.raises(TlbenchError, match=r"'far_s3'. Did you mean 'far_s"):
        suite(pairs={"list": ["a:far_s3"]})


def test_a_suite_says_what_its_generated_domains_stand_for() -> None:
    swept = suite()
    level = SweepLevel(base="far", kind="severity", level=2)
    assert swept.sweep_levels["far_s2"] == level and set(swept.sweep_levels) == {"far_s1", "far_s2", "far_s5"}
    assert swept.sweep_levels_of(["a", "far_s2"]) == {"far_s2": level} and swept.sweep_levels_of(["a", "b"]) == {}
    assert suite(pairs={"list": ["a:b"]}, b_s1={"path": "b.npz"}).sweep_levels.keys() == swept.sweep_levels.keys()
    raw = tomllib.loads(SUITE) | {"pairs": {"list": ["a:far"]}}
    raw["domains"] = {**raw["domains"], "far": SWEEP}
    raw["protocol"] = {**raw.get("protocol", {}), "target_labels": [1, 3]}
    both = parse_suite(raw, "mine.toml")
    assert both.sweep_levels_of(["far_s2_l3"]) == {
        "far_s2_l3": SweepLevel(base="far_s2", kind="labels", level=3),
        "far_s2": level,
    }
