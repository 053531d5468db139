"""What only a CUDA device can show: the same case there and on the CPU, and a clock that waits for the device."""

from __future__ import annotations

import pytest
import torch
from support import case, domain, suite

from tlbench import clock, engine
from tlbench.checks import toy
from tlbench.terms import Labelled

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device: torch.cuda.is_available() is False"),
]


def domains():
    test = toy(5, 300, shift=0.7)
    return {"a": domain("a", toy(1)), "b": domain("b", toy(2, shift=0.7), Labelled(test.x, test.y))}


@pytest.mark.parametrize("name", ["source_only", "dann", "coral", "mcd", "nearest_neighbor", "logistic"])
def test_a_case_scores_alike_on_both_devices(name):
    chosen = suite(protocol={"scored": "test"}, train={"steps": 100, "batch": 32}, methods={name: {}, "source_only": {}})
    both = [engine.run(case(name), chosen, domains(), torch.device(d)) for d in ("cpu", "cuda")]
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
