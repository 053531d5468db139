"""What only a CUDA device can show: the same case there and on the CPU, and a clock that waits for the device."""

from __future__ import annotations

import pytest
import torch
from tiny_suite import case, domain, suite

from tlbench import clock, engine
from tlbench.checks.toy_task import toy_samples
from tlbench.terms import Labelled

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device: torch.cuda.is_available() is False"),
]


def domains():
    test = toy_samples(5, 300, shift=0.7)
    return {"a": domain("a", toy_samples(1)), "b": domain("b", toy_samples(2, shift=0.7), Labelled(test.x, test.y))}


@pytest.mark.parametrize("name", ["source_only", "dann", "coral", "mcd", "nearest_neighbor", "logistic"])
def test_a_case_scores_alike_on_both_devices(name):
    chosen = suite(protocol={"scored": "test"}, train={"steps": 100, "batch": 32}, methods={name: {}, "source_only": {}})
    both = [engine.run_case(case(name), chosen, domains(), torch.device(d)) for d in ("cpu", "cuda")]
    assert [record.status for record in both] == ["done", "done"]
    assert both[0].identity == both[1].identity
    assert both[0].scores.target_accuracy == pytest.approx(both[1].scores.target_accuracy, abs=0.03)
    assert both[1].cost.peak_memory_bytes is not None


def test_the_clock_bills_queued_work_to_the_stretch_that_queued_it():
    device = torch.device("cuda")
    a = torch.randn(8192, 8192, device=device)
    watch = clock.Clock(device)
    with watch.measure("warm-up"):
        a @ a
    with watch.measure("work"):
        for _ in range(10):
            a @ a
    with watch.measure("nothing"):
        pass
    assert watch.seconds["nothing"] < 0.1 * watch.seconds["work"]


def test_steps_are_billed_for_their_own_work_and_nothing_waits_in_them():
    device = torch.device("cuda")
    a = torch.randn(8192, 8192, device=device)
    a @ a
    watch = clock.Clock(device)
    timer = watch.step_timer()
    with watch.measure("train"):
        asked = clock.seconds()
        timer.start()
        for _ in range(16):
            timer.end_stage("data")
            for _ in range(4):
                a @ a
            timer.end_stage("work")
            timer.end_step()
        asked = clock.seconds() - asked
    timer.read()
    assert asked < 0.5 * watch.seconds["train"]  # all was asked for long before it was done
    assert sum(timer.seconds) == pytest.approx(watch.seconds["train"], rel=0.1)
    assert list(timer.stages["work"]) == [0, 8]  # of every eighth step
    assert all(timer.stages["data"][at] < 0.05 * timer.stages["work"][at] for at in (0, 8))


def test_a_record_says_what_only_a_gpu_can_say():
    chosen = suite(protocol={"scored": "test"}, train={"steps": 100, "batch": 32}, methods={"dann": {}, "source_only": {}})
    cost = engine.run_case(case("dann"), chosen, domains(), torch.device("cuda")).cost
    assert cost.peak_reserved_bytes >= cost.peak_memory_bytes > 0
    assert 0 < cost.train_samples_per_second * cost.train_flops_per_sample < cost.device_flops_per_second
    assert 0 < cost.step_seconds_median <= cost.step_seconds_p95
