"""Case -> Record: granted splits, the trace, and how a case ends."""

from __future__ import annotations

import dataclasses

import pytest
from engine_runs import (
    LABELED_TARGET_SUITE,
    blob_domains,
)
from plugin_files import HEADER, plugged
from tiny_suite import CPU, blobs, case, domain, suite

from tlbench import engine, records
from tlbench.errors import TlbenchError
from tlbench.nn import backbones
from tlbench.runner import RunPlan, local
from tlbench.suite import Network
from tlbench.terms import SweepLevel, TracePoint


def test_pairs_that_can_not_be_run_are_refused_before_any_training():
    chosen = suite(protocol={"scored": "test", "target_labels": 50}, methods={"source_only": {}})
    both = {**blob_domains(test=False), "c": domain("c", blobs(3, 30, columns=5))}
    with pytest.raises(TlbenchError) as raised:
        engine.check_pairs(chosen, both, [(("a",), "c"), (("a",), "b")])
    message = str(raised.value)
    assert "pair a:c: The domains have samples of different shapes: a [4], c [5]" in message
    assert "pair a:b: protocol.scored = 'test', but domain b declares no test samples" in message
    granted = suite(protocol={"target_labels": 50}, methods={"source_only": {}})
    with pytest.raises(TlbenchError, match=r"class '0' of domain b has 11 samples. With protocol.target_labels = 50"):
        engine.check_pairs(granted, blob_domains(), [(("a",), "b")])
    unfit = suite(net={"backbone": "lenet", "hidden": None}, methods={"source_only": {}})
    unfit = type(unfit)(**{**vars(unfit), "net": Network(backbone="lenet")})
    with pytest.raises(TlbenchError, match="not samples of shape"):
        engine.check_pairs(unfit, blob_domains(), [(("a",), "b")])


def test_the_network_is_built_once_to_check_all_pairs(tmp_path):
    header = '''"""A backbone that counts how often it is built."""
from pydantic import BaseModel, ConfigDict, Field
from torch import nn
from tlbench.nn.net import Backbone
BUILT = []
'''
    body = (
        "class Options(BaseModel):\n    model_config = ConfigDict(extra='forbid')\n"
        "    hidden: list[int] = Field([], description='not used')\n"
        "def build(shape, options):\n    BUILT.append(shape)\n    return Backbone([nn.Linear(shape[0], 3)], 3)\n"
    )
    with plugged(tmp_path, "counted", body, header) as name:
        chosen = suite(net={"backbone": name}, methods={"source_only": {}})
        domains = {**blob_domains(), "c": domain("c", blobs(4, 45))}
        engine.check_pairs(chosen, domains, [(("a",), "b"), (("b",), "a"), (("a",), "c"), (("a", "b"), "c")])
        assert backbones.backbone_module(name).BUILT == [(4,)]


def test_the_trace_knows_no_target_label():
    assert set(TracePoint.model_fields) == {"step", "loss", "source_validation_accuracy", "target_entropy"}
    record = engine.run_case(case("dann"), LABELED_TARGET_SUITE, blob_domains(), CPU)
    trace = record.scores.trace
    assert [point.step for point in trace] == [1, 2, 3, 4, 5]
    assert all(0 <= point.source_validation_accuracy <= 1 and point.target_entropy >= 0 for point in trace)
    assert trace[-1].source_validation_accuracy == record.scores.source_accuracy
    short = suite(train={"steps": 7, "trace": 2}, methods={"source_only": {}})
    trace = engine.run_case(case("source_only"), short, blob_domains(), CPU).scores.trace
    assert [point.step for point in trace] == [4, 7]
    none = suite(train={"trace": 0}, protocol={"source_held_out": 0.0}, methods={"source_only": {}})
    scores = engine.run_case(case("source_only"), none, blob_domains(), CPU).scores
    assert scores.trace == [] and scores.source_accuracy is None


def test_what_is_not_granted_is_skipped():
    record = engine.run_case(case("target_only"), suite(), blob_domains(), CPU)
    assert (record.status, record.reason) == ("skipped", "target_only reads target_labeled, which the suite does not grant")
    assert record.scores.target_accuracy is None and record.cost.train_seconds is None
    withheld = suite(protocol={"grants": ["source"]})
    record = engine.run_case(case("dann"), withheld, blob_domains(), CPU)
    assert (record.status, record.reason) == ("skipped", "dann reads target, which the suite does not grant")
    assert engine.run_case(case("source_only"), withheld, blob_domains(), CPU).status == "done"
    sourceless = suite(protocol={"grants": ["target"], "target_labels": 2})
    assert engine.run_case(case("source_only"), sourceless, blob_domains(), CPU).status == "skipped"
    assert engine.run_case(case("target_only"), sourceless, blob_domains(), CPU).status == "done"


def test_an_option_that_has_no_meaning_here_is_skipped():
    record = engine.run_case(case("fine_tune", options={"freeze": 9}), LABELED_TARGET_SUITE, blob_domains(), CPU)
    assert record.status == "skipped" and "freeze = 9, but the backbone has 1 stages" in record.reason


def test_a_diverging_case_fails_and_the_others_go_on(tmp_path):
    chosen = suite(
        train={"optimizer": "sgd", "lr": 1e30, "steps": 20},
        methods={"source_only": {}, "coral": {}, "nearest_neighbor": {}},
    )
    plan = RunPlan(chosen, chosen.cases(), [], blob_domains())
    ended = list(local.run(plan, tmp_path, CPU))
    assert [(r.entry, r.status) for r in ended] == [
        ("source_only", "failed"),
        ("coral", "failed"),
        ("nearest_neighbor", "done"),
    ]
    assert ended[0].reason.startswith("The loss is nan at step") or ended[0].reason.startswith("The loss is inf at step")
    assert "Lower train.lr" in ended[0].reason
    assert ended[0].scores.target_accuracy is None
    assert [r.status for r in records.read_all(tmp_path)] == ["failed", "done", "failed"]  # coral, nearest, source


def test_a_method_that_raises_fails_with_its_line(tmp_path):
    body = "class Bad(DeepMethod):\n    reads = frozenset({'source'})\n    def loss(self, step):\n        return {}[3]\n"
    with plugged(tmp_path, "bad_one", body) as name:
        record = engine.run_case(case(name), suite(), blob_domains(), CPU)
    assert record.status == "failed" and record.reason == f"KeyError: 3 (bad_one.py:{HEADER.count(chr(10)) + 4})"


def test_predictions_that_are_no_numbers_fail(tmp_path):
    body = (
        "class Nan(ShallowMethod):\n    reads = frozenset({'source'})\n    def fit(self, task: Task) -> Predictor:\n"
        "        return lambda x: torch.full((len(x), task.classes), torch.nan)\n"
    )
    with plugged(tmp_path, "all_nan", body) as name:
        record = engine.run_case(case(name), suite(), blob_domains(), CPU)
    assert record.status == "failed" and "predictions are NaN" in record.reason


def test_the_first_loss_that_is_not_finite_is_named(tmp_path):
    body = (
        "class Late(DeepMethod):\n    reads = frozenset({'source'})\n    def loss(self, step: Step) -> Tensor:\n"
        "        return self.supervised(step) * (float('inf') if step.progress > 0.7 else 1.0)\n"
    )
    chosen = suite(train={"steps": 200})
    with plugged(tmp_path, "late", body) as name:
        record = engine.run_case(case(name), chosen, blob_domains(), CPU)
    assert record.status == "failed" and record.reason.startswith("The loss is inf at step 142 of 200")


def test_a_record_says_all_that_was_asked_and_measured():
    record = engine.run_case(case("dann", options={"weight": 2.0}, entry="strong"), LABELED_TARGET_SUITE, blob_domains(), CPU)
    assert (record.status, record.kind, record.reads) == ("done", "deep", ("source", "target"))
    assert (record.method, record.entry, record.options) == (
        "dann",
        "strong",
        {"weight": 2.0, "hidden": 256, "gamma": 10.0},
    )
    assert record.data == {"a": "fingerprint of a", "b": "fingerprint of b"}
    assert (record.baseline, record.metric, record.target_labels) == ("source_only", "target_accuracy", 3)
    assert (record.scores.scored_samples, record.cost.steps, record.cost.batch) == (24, 5, 8)
    cost = record.cost
    assert min(cost.train_seconds, cost.train_samples_per_second, cost.predict_samples_per_second) > 0
    assert cost.energy_joules is None and record.machine.cuda is None and record.machine.device == "cpu"
    assert record.started <= record.finished
    shallow = engine.run_case(case("nearest_neighbor"), LABELED_TARGET_SUITE, blob_domains(), CPU)
    assert (shallow.kind, shallow.cost.steps, shallow.cost.batch) == ("shallow", None, None)
    assert shallow.cost.train_samples_per_second > 0


def test_a_suite_of_shallow_methods_needs_no_backbone():
    net = Network(backbone="conv1d")
    shallow = suite(methods={"nearest_neighbor": {}}, protocol={"baseline": "nearest_neighbor"})
    engine.check_pairs(dataclasses.replace(shallow, net=net), blob_domains(), [(("a",), "b")])
    with pytest.raises(TlbenchError, match="takes time series"):
        engine.check_pairs(dataclasses.replace(suite(), net=net), blob_domains(), [(("a",), "b")])


def test_a_record_says_which_domains_a_sweep_generated():
    level = SweepLevel(base="base", kind="severity", level=2)
    swept = dataclasses.replace(suite(), sweep_levels={"b": level, "other": level})
    assert engine.run_case(case("nearest_neighbor"), swept, blob_domains(), CPU).sweep_levels == {"b": level}
    assert engine.run_case(case("nearest_neighbor"), suite(), blob_domains(), CPU).sweep_levels == {}
