"""The clock: it waits for the device, bills a part for its own work alone, and says what a warm-up is.

A worker thread with a queue stands for a device that runs behind the program; the same with a GPU is in test_gpu.py.
"""

from __future__ import annotations

import queue
import threading
import time

import pytest
import torch

from tlbench import clock

CPU = torch.device("cpu")
NAP = 0.02
"""A sleep is never shorter than asked, and longer on a loaded machine: what is billed elsewhere is missing where it belongs."""
LONG = 0.3


class Behind:
    """A device with an asynchronous queue: `submit` returns at once, the work is done in order on another thread."""

    sampled = 1

    def __init__(self):
        self._todo = queue.Queue()
        threading.Thread(target=self._work, daemon=True).start()

    def _work(self):
        while (one := self._todo.get()) is not None:
            one()
            self._todo.task_done()

    def submit(self, work):
        self._todo.put(work)

    def sleep(self, seconds):
        self.submit(lambda: time.sleep(seconds))

    def wait(self):
        self._todo.join()

    def mark(self):
        passed = []
        self.submit(lambda: passed.append(time.perf_counter()))
        return passed

    def between(self, first, then):
        return then[0] - first[0]

    def stop(self):
        self._todo.put(None)


@pytest.fixture
def device():
    made = Behind()
    yield made
    made.stop()


def test_queued_work_is_billed_to_the_stretch_that_queued_it(device):
    watch = clock.Clock(CPU, device)
    with watch.measure("train"):
        asked = time.perf_counter()
        device.sleep(LONG)
        assert time.perf_counter() - asked < LONG / 2  # the device is behind the program, else this test shows nothing
    with watch.measure("predict"):
        pass
    assert watch.seconds["train"] >= LONG
    assert watch.seconds["predict"] < LONG / 2


def test_work_queued_before_a_stretch_is_not_billed_to_it(device):
    watch = clock.Clock(CPU, device)
    device.sleep(LONG)
    with watch.measure("train"):
        pass
    assert watch.seconds["train"] < LONG / 2


def test_a_clock_that_does_not_wait_would_be_seen(device):
    device.wait = lambda: None
    watch = clock.Clock(CPU, device)
    with watch.measure("train"):
        device.sleep(LONG)
    assert watch.seconds["train"] < LONG / 2


@pytest.mark.parametrize("make", [Behind, clock.Host])
def test_steps_and_parts_are_billed_for_their_own_work(make):
    device = make()
    device.sampled = 1  # every step is taken apart
    sleep = getattr(device, "sleep", time.sleep)
    watch = clock.Clock(CPU, device)
    steps = watch.steps()
    for stretch in range(2):
        sleep(NAP * (1 + stretch))  # between the stretches: nobody's step
        with watch.measure("train"):
            steps.start()
            for _ in range(3):
                sleep(NAP)
                steps.part("data")
                for _ in range(2):  # a game: two updates in a step
                    sleep(2 * NAP)
                    steps.part("forward and backward")
                    sleep(NAP)
                    steps.part("optimizer")
                steps.end()
        steps.read()
    assert len(steps.seconds) == 6
    assert sum(steps.seconds) <= watch.seconds["train"]  # what came between the stretches is nobody's
    for at, seconds in enumerate(steps.seconds):
        parts = [steps.parts[name][at] for name in ("data", "forward and backward", "optimizer")]
        assert parts[0] >= NAP and parts[1] >= 4 * NAP and parts[2] >= 2 * NAP
        assert sum(parts) <= seconds + 1e-6


def test_marks_do_not_wait_for_the_device(device):
    watch = clock.Clock(CPU, device)
    steps = watch.steps()
    steps.start()
    asked = time.perf_counter()
    for _ in range(5):
        device.sleep(LONG / 5)
        steps.part("data")
        steps.end()
    assert time.perf_counter() - asked < LONG / 2
    device.wait()
    steps.read()
    assert sum(steps.seconds) >= LONG


def test_steps_that_run_as_one_share_their_time(device):
    steps = clock.Steps(device)
    steps.start()
    device.sleep(4 * NAP)
    steps.end(4)
    device.sleep(NAP)
    steps.end()
    device.wait()
    steps.read()
    assert steps.seconds[:4] == [steps.seconds[0]] * 4
    assert steps.seconds[0] >= NAP and steps.seconds[4] >= NAP
    assert len(steps.seconds) == 5


def test_some_steps_are_taken_apart_where_marks_cost(device):
    device.sampled = 4
    steps = clock.Steps(device)
    steps.start()
    for _ in range(9):
        steps.part("data")
        steps.end()
    device.wait()
    steps.read()
    assert len(steps.seconds) == 9
    assert list(steps.parts["data"]) == [0, 4, 8]


@pytest.mark.parametrize(
    ("seconds", "left_out"),
    [
        ([1.0] * 30, 0),
        ([9.0] + [1.0] * 29, 1),
        ([9.0, 1.0, 1.0, 5.0] + [1.0] * 26, 4),  # a second kernel is compiled at step 4
        ([3.0 - 0.2 * step for step in range(10)] + [1.0] * 90, 9),  # a clock that speeds up: 1.2 is steady
        ([1.0] * 15 + [8.0] + [1.0] * 14, 0),  # a disturbance later on is no warm-up
        ([9.0] * 15 + [1.0] * 15, 15),
        ([9.0] * 20 + [1.0] * 10, 15),  # slow into the later half, which ends it
        ([9.0] * 25 + [1.0] * 5, 0),  # the later half is slow too: so is the usual step
        ([9.0] + [1.0] * 8, 0),  # too few to tell
        ([], 0),
    ],
)
def test_the_warm_up_ends_with_five_steady_steps(seconds, left_out):
    assert clock.warm_up(seconds) == left_out


def test_a_phase_that_never_settles_loses_half_of_its_steps_at_most():
    # two fast steps, three slow ones: no five in a row
    assert clock.warm_up([(1.0, 1.0, 1.0, 9.0)[step % 4] for step in range(40)]) == 20


def test_quantiles_are_values_that_were_measured():
    values = [float(n) for n in range(1, 101)]
    assert [clock.quantile(values, share) for share in (0.5, 0.95, 1.0)] == [50.0, 95.0, 100.0]
    assert clock.quantile([7.0], 0.95) == 7.0
    assert clock.quantile([3.0, 1.0, 2.0], 0.5) == 2.0


def test_peak_memory_is_the_peak_and_not_what_is_left():
    torch.ones(1)
    memory = clock.Memory(CPU)
    before = memory.resident()
    if before is None:
        pytest.skip("/proc/self/clear_refs can't be written here: the peak can't be reset")
    rows = torch.ones(32, 2**20)  # 128 MiB
    del rows
    assert memory.peak() == memory.resident()
    assert memory.resident() - before > 100 * 2**20
    assert memory.reserved() is None


def test_energy_is_blank_without_a_gpu():
    assert clock.Energy(CPU).joules() is None


# --- what the engine's loop tells of its steps ----------------------------------------------------------------------


def trained(name, steps=30, monkeypatch=None):
    from tlbench import checks, methods
    from tlbench.engine.data.inputs import Inputs
    from tlbench.engine.runtime.seeds import seeded_rng
    from tlbench.engine.training.loop import train
    from tlbench.nn import backbones
    from tlbench.nn.net import Net
    from tlbench.suite import Network, Training
    from tlbench.terms import Task

    with seeded_rng(0, CPU):
        method = methods.method_class(name)(
            Net(backbones.build_backbone("mlp", (6,), {"hidden": [4]}), 3), **methods.method_options(name, {})
        )
        task = Task(3, **{part: getattr(checks.toy_task(), part) for part in method.reads})
        return train(method, task, Training(steps=steps, batch=8, trace=0), Inputs(Network(), False), clock.Clock(CPU), len)


def test_operations_are_those_of_the_layers():
    # forward 6*4 + 4*3 products and sums a row; backward the gradients of both layers' weights, and of the hidden layer
    assert trained("source_only").speed.facts()["train_flops_per_sample"] == 2 * ((24 + 12) + (24 + 12) + 12)


@pytest.mark.parametrize("name", ["dann", "mcd", "pcgrad", "shot"])
def test_counting_changes_no_number(name, monkeypatch):
    import contextlib

    from tlbench.engine.runtime.throughput import StepThroughput

    counted = trained(name)
    assert counted.speed.flops > 0
    monkeypatch.setattr(StepThroughput, "counting", lambda self, steps, samples: contextlib.nullcontext())
    plain = trained(name)
    assert plain.speed.flops == 0
    assert counted.losses == plain.losses


def test_a_step_is_the_sum_of_its_parts_and_little_else():
    facts = trained("dann", steps=60).speed.facts()
    parts = [facts[f"step_{part}_seconds"] for part in ("data", "forward_backward", "optimizer")]
    assert min(parts) > 0
    assert 0 < facts["step_seconds_median"] <= facts["step_seconds_p95"]
    assert facts["train_samples_per_second"] == pytest.approx(2 * 8 / sum(parts), rel=0.5)


def test_the_limits_are_above_what_a_training_reaches():
    from tlbench.engine.runtime import device_limits

    flops, copied = device_limits.peak_matmul_flops(CPU, "fp32"), device_limits.peak_copy_bytes(CPU)
    assert 1e8 < flops < 1e15 and 1e7 < copied < 1e14
    facts = trained("source_only").speed.facts()
    assert facts["train_samples_per_second"] * facts["train_flops_per_sample"] < flops
    assert device_limits.peak_matmul_flops(CPU, "fp32") == flops  # measured once in a process
