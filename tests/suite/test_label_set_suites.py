"""The shipped suites whose target has other classes than the source, on small samples of their own data."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

import pytest
import torch

from tlbench import data, engine, methods
from tlbench.engine.data.pair_classes import class_sides, relation
from tlbench.nn import backbones
from tlbench.suite import Suite, locate_suite, parse_suite

HASHED = {"features": "hashed", "size": 512, "encoder": None, "samples": 900}
SMALLER: dict[str, dict[str, Any]] = {
    "digits_inductive": {"samples": 600},
    "clinc_subjects": HASHED,
    "clinc_open": HASHED,
    "office_caltech10_partial": {"size": 32, "crop": 32, "full_decode": False},
}
"""Keys of `[data]` that make a load quick; None takes a key away."""
EXPECTED = {
    "digits_inductive": ("inductive", 5, 5),
    "clinc_subjects": ("inductive", 60, 15),
    "clinc_open": ("open", 150, 151),
    "office_caltech10_partial": ("partial", 10, 5),
}
"""The label set, and the classes of a source and of a target."""


def small(name: str, pair: str) -> Suite:
    raw = tomllib.loads(locate_suite(name).read_text(encoding="utf-8"))
    merged = {**raw["data"], **SMALLER[name]}
    raw["data"] = {key: value for key, value in merged.items() if value is not None}
    raw["train"] = {**raw["train"], "steps": 8, "trace": 0}
    raw["pairs"] = {"list": [pair]}
    return parse_suite(raw, name, (backbones.suite_errors, methods.suite_errors))


@pytest.mark.filterwarnings("ignore:.*are turned upright:UserWarning")  # one photograph of Office-Caltech10
@pytest.mark.data
@pytest.mark.parametrize(
    ("name", "pair"),
    [
        ("digits_inductive", "mnist_0_to_4:usps_5_to_9"),
        ("clinc_subjects", "four_subjects:travel"),
        ("clinc_open", "in_scope:with_unknown"),
        ("office_caltech10_partial", "amazon:webcam_5"),
    ],
)
def test_a_suite_has_the_classes_that_it_states_and_runs(name, pair, data_root: Path):
    suite = small(name, pair)
    (sources, target), *_ = suite.pairs
    domains = {one: data.load(suite.domains[one], data_root) for one in (*sources, target)}
    of_sources, of_target = class_sides([domains[one] for one in sources], domains[target], suite.protocol.label_set)
    assert (relation(of_sources, of_target), len(of_sources), len(of_target)) == EXPECTED[name]
    if suite.net.frozen:
        files = backbones.named_files(suite.net.backbone, suite.net.options, data_root, suite.net.sha256)
        suite = Suite(**{**vars(suite), "files": files})
    engine.check_pairs(suite, domains, suite.pairs)
    for entry in (suite.protocol.baseline, "co_tuning" if suite.protocol.label_set == "inductive" else "dann"):
        record = engine.run_case(suite.cases([entry], seeds=[0])[0], suite, domains, torch.device("cpu"))
        assert record.status == "done", record.reason
        assert (record.scores.h_score is not None) == (suite.protocol.label_set == "open")
