"""The order of a stream, its batches and resets, and streams of suites."""

from __future__ import annotations

import dataclasses

import pytest
import torch
from engine_runs import toy_domains
from tiny_suite import CPU, case, suite

from tlbench import engine
from tlbench.data.domain_sequence import domain_sequence
from tlbench.engine.measurement import PreparedCase
from tlbench.engine.streams.order import online_accuracy, plan_stream
from tlbench.errors import TlbenchError
from tlbench.suite import Stream

Y = torch.arange(120) % 3
DOMAIN = torch.arange(120) // 40


def is_permutation(order: torch.Tensor) -> bool:
    return torch.equal(order.sort().values, torch.arange(len(order)))


@pytest.mark.parametrize("order", ["shuffled", "by_class", "stored"])
@pytest.mark.parametrize("domains", ["gradual", "mixed"])
def test_each_sample_comes_once(order, domains):
    plan = plan_stream(Stream(order=order, domains=domains, batch=16), 64, Y, DOMAIN, seed=3)
    assert is_permutation(plan.order) and sum(plan.sizes) == 120 and max(plan.sizes) <= 17
    again, other = (plan_stream(Stream(order=order, domains=domains, batch=16), 64, Y, DOMAIN, seed=s) for s in (3, 4))
    assert torch.equal(plan.order, again.order)
    assert torch.equal(plan.order, other.order) == (order == "stored")


def test_classes_come_one_after_the_other():
    plan = plan_stream(Stream(order="by_class"), 64, Y, None, seed=0)
    assert len(Y[plan.order].unique_consecutive()) == 3
    assert plan.sizes == (64, 56)
    within = plan.order[Y[plan.order] == 0]
    assert not torch.equal(within, within.sort().values)


def test_domains_come_one_after_the_other_and_no_batch_holds_two():
    plan = plan_stream(Stream(reset="each_domain", batch=16), 64, Y, DOMAIN, seed=0)
    assert DOMAIN[plan.order].unique_consecutive().tolist() == [0, 1, 2]
    assert plan.sizes == (16, 16, 8) * 3 and plan.resets == {3, 6}
    mixed = plan_stream(Stream(domains="mixed", reset="each_batch", batch=16), 64, Y, DOMAIN, seed=0)
    assert len(DOMAIN[mixed.order].unique_consecutive()) > 20 and mixed.resets == set(range(1, 8))


def test_batches_of_one_sample():
    assert plan_stream(Stream(batch=1), 64, Y, None, seed=0).sizes == (1,) * 120
    assert plan_stream(Stream(), 7, Y, None, seed=0).sizes == (7,) * 16 + (8,)


def test_a_lower_concentration_correlates_classes_in_time():
    y = torch.arange(2000) % 10
    repeats = []
    for concentration in (0.01, 100.0):
        order = plan_stream(Stream(order="by_class", concentration=concentration), 64, y, None, seed=0).order
        assert is_permutation(order)
        slots = y[order].view(20, 100)
        repeats.append(sum(float((slot.bincount(minlength=10).double() / 100).square().sum()) for slot in slots) / 20)
    assert repeats[0] > 0.5 and repeats[1] < repeats[0]


def test_accuracy_by_window():
    plan = plan_stream(Stream(order="by_class"), 64, Y, None, seed=0)
    first = Y[plan.order][0]
    windows = online_accuracy(first == Y, plan)
    assert len(windows) == 20 and windows[:6] == [1.0] * 6 and windows[7:] == [0.0] * 13
    assert online_accuracy(torch.tensor([True]), plan_stream(Stream(), 2, Y[:1], None, 0)) == [1.0]


def sequence_suite(method: str = "tent", **stream):
    protocol = {"grants": ["source", "stream"], "stream": stream, "source_held_out": 0.0}
    return suite(protocol=protocol, net={"batch_norm": True}, methods={"source_only": {}, method: {}})


def sequence_domains():
    domains = toy_domains()
    return domains | {"b>c": domain_sequence("b>c", [domains["b"], domains["c"]])}


def test_the_groups_of_a_sequence_are_its_domains():
    domains = sequence_domains()
    sequence = domains["b>c"]
    assert sequence.groups == ("b", "c") and len(sequence.samples) == len(domains["b"].samples) + len(domains["c"].samples)
    assert torch.equal(sequence.samples.x[: len(domains["b"].samples)], domains["b"].samples.x)
    record = engine.run_case(case("tent", target="b>c"), sequence_suite(order="shuffled", batch=16), domains, CPU)
    assert record.status == "done", record.reason
    groups = record.scores.per_group_accuracy
    assert {*groups} == {"b", "c"}
    counts = [len(domains[name].samples) for name in ("b", "c")]
    mean = sum(count * groups[name] for count, name in zip(counts, ("b", "c"), strict=True)) / sum(counts)
    assert record.scores.target_accuracy == pytest.approx(mean)
    assert sum(record.scores.online_accuracy) / 20 == pytest.approx(mean, abs=0.01)
    assert record.cost.stream_peak_memory_bytes <= record.cost.peak_memory_bytes


def test_classes_of_a_sequence_are_those_of_all_its_domains():
    domains = toy_domains()
    other = dataclasses.replace(domains["c"], classes=tuple(reversed(domains["c"].classes)))
    sequence = domain_sequence("b>c", [domains["b"], other])
    assert sequence.classes == domains["b"].classes
    names = [sequence.classes[label] for label in sequence.samples.y[len(domains["b"].samples) :]]
    assert names == [other.classes[label] for label in other.samples.y]
    wider = dataclasses.replace(other.samples, x=other.samples.x.repeat(1, 2))
    with pytest.raises(TlbenchError, match="need one shape"):
        domain_sequence("b>c", [domains["b"], dataclasses.replace(other, samples=wider)])


def test_only_a_method_that_adapts_on_the_stream_is_handed_its_order():
    domains = sequence_domains()
    for method, is_handed in (("source_only", False), ("tent", True)):
        prepared = PreparedCase(case(method, target="b>c"), sequence_suite(order="by_class"), domains, CPU)
        assert (prepared.inputs.stream is not None) == is_handed
        assert prepared.inputs.scored.y is None and prepared.inputs.scored.group is None
        assert prepared.stream is not None


def test_a_stream_that_a_suite_does_not_declare_is_in_the_order_that_it_always_had():
    undeclared = suite(protocol={"grants": ["source", "stream"]}, net={"batch_norm": True}, methods={"source_only": {}})
    record = engine.run_case(case("tent", target="b"), undeclared, toy_domains(), CPU)
    assert record.status == "done" and record.scores.online_accuracy is None
