"""The training loop: throughput, operations and what is billed."""

from __future__ import annotations

import contextlib
import time

import pytest
from tiny_suite import CPU

from tlbench import checks, clock, methods
from tlbench.engine.data.inputs import Inputs
from tlbench.engine.runtime import device_limits
from tlbench.engine.runtime.seeds import seeded_rng
from tlbench.engine.runtime.throughput import StepThroughput
from tlbench.engine.training.loop import train
from tlbench.nn import backbones
from tlbench.nn.net import Net
from tlbench.suite import Network, Training
from tlbench.terms import Task


def test_what_others_do_between_steps_is_not_billed():
    net = Net(backbones.build_backbone("mlp", (6,), {"hidden": [4]}), 3)
    method = methods.method_class("source_only")(net)
    watch, begun = clock.Clock(CPU), time.perf_counter()
    task = Task(3, source=checks.toy_samples(1))
    looks = []

    def slow(done, total):
        looks.append((done, total))
        time.sleep(0.1)

    training = Training(steps=30, batch=8, trace=3)
    outcome = train(method, task, training, Inputs(Network(), False), watch, len, on_step=slow)
    assert looks[-1] == (30, 30) and len(looks) >= 3
    assert watch.seconds["train"] <= time.perf_counter() - begun - 0.1 * len(looks)
    throughput = outcome.throughput
    assert len(throughput.seconds) + throughput.warm_up_steps == 30 and sum(throughput.seconds) <= watch.seconds["train"]
    assert outcome.samples_per_second == pytest.approx(8 * len(throughput.seconds) / sum(throughput.seconds))
    stages = [sum(throughput.stages[name]) for name in ("data", "forward_backward", "optimizer")]
    assert min(stages) > 0 and sum(stages) <= sum(throughput.seconds)


class TickingQueue:
    """A device whose time goes on by one second with each mark, so that times are counts of marks."""

    stage_interval = 4

    def __init__(self):
        self.ticks = 0.0

    def synchronize(self):
        """Return at once."""

    def mark(self):
        self.ticks += 1
        return self.ticks

    def seconds_between(self, first, last):
        return last - first


def train_toy(name, steps=30, queue=None):
    """The outcome of a training on the toy task."""
    with seeded_rng(0, CPU):
        method = methods.method_class(name)(
            Net(backbones.build_backbone("mlp", (6,), {"hidden": [4]}), 3), **methods.method_options(name, {})
        )
        task = Task(3, **{split: getattr(checks.toy_task(), split) for split in method.reads})
        watch = clock.Clock(CPU, queue)
        return train(method, task, Training(steps=steps, batch=8, trace=0), Inputs(Network(), False), watch, len)


def test_operations_are_those_of_the_layers():
    # forward 6*4 + 4*3 products and sums a sample; backward the gradients of both layers' weights, and of the hidden layer
    assert train_toy("source_only").throughput.facts()["train_flops_per_sample"] == 2 * ((24 + 12) + (24 + 12) + 12)


@pytest.mark.parametrize("name", ["dann", "mcd", "pcgrad", "shot"])
def test_counting_changes_no_number(name, monkeypatch):
    counted = train_toy(name)
    assert counted.throughput.flops > 0
    monkeypatch.setattr(StepThroughput, "count_flops", lambda self, steps, samples: contextlib.nullcontext())
    plain = train_toy(name)
    assert plain.throughput.flops == 0
    assert counted.losses == plain.losses


def test_a_step_is_the_sum_of_its_stages_and_little_else():
    """In marks: each stage of every fourth step ends once, and nothing but the end of the step follows the last."""
    throughput = train_toy("dann", steps=60, queue=TickingQueue()).throughput
    facts = throughput.facts()
    assert [facts[f"step_{stage}_seconds"] for stage in ("data", "forward_backward", "optimizer")] == [1, 1, 1]
    warm_up = facts["warm_up_steps"]
    assert throughput.seconds == [4 if step % 4 == 0 else 1 for step in range(warm_up, 60)]
    assert (facts["step_seconds_median"], facts["step_seconds_p95"]) == (1, 4)
    assert facts["train_samples_per_second"] == 2 * 8 * (60 - warm_up) / sum(throughput.seconds)


def test_the_limits_are_above_what_a_training_reaches():
    flops, copied = device_limits.peak_matmul_flops(CPU, "fp32"), device_limits.peak_copy_bytes(CPU)
    assert 1e8 < flops < 1e15 and 1e7 < copied < 1e14
    facts = train_toy("source_only").throughput.facts()
    assert facts["train_samples_per_second"] * facts["train_flops_per_sample"] < flops
    assert device_limits.peak_matmul_flops(CPU, "fp32") == flops  # measured once in a process
