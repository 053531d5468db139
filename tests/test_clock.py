"""The clock: it synchronises with the device, bills a stage for its own work alone, and finds the warm-up.

A worker thread with a queue stands for an asynchronous device; tests/engine/test_gpu_methods.py does the same on a GPU.
"""

from __future__ import annotations

import multiprocessing
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


class AsynchronousDevice:
    """A device with an asynchronous queue: `submit` returns at once, the work is done in order on another thread."""

    stage_interval = 1

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

    def synchronize(self):
        self._todo.join()

    def mark(self):
        passed = []
        self.submit(lambda: passed.append(time.perf_counter()))
        return passed

    def seconds_between(self, first, last):
        return last[0] - first[0]

    def stop(self):
        self._todo.put(None)


@pytest.fixture
def device():
    asynchronous = AsynchronousDevice()
    yield asynchronous
    asynchronous.stop()


def test_queued_work_is_billed_to_the_stretch_that_queued_it(device):
    watch = clock.Clock(CPU, device)
    with watch.measure("train"):
        asked = time.perf_counter()
        device.sleep(LONG)
        assert time.perf_counter() - asked < LONG / 2  # the device is asynchronous, else this test shows nothing
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
    device.synchronize = lambda: None
    watch = clock.Clock(CPU, device)
    with watch.measure("train"):
        device.sleep(LONG)
    assert watch.seconds["train"] < LONG / 2


@pytest.mark.parametrize("make", [AsynchronousDevice, clock.HostQueue])
def test_steps_and_stages_are_billed_for_their_own_work(make):
    device = make()
    device.stage_interval = 1  # the stages of every step are timed
    sleep = getattr(device, "sleep", time.sleep)
    watch = clock.Clock(CPU, device)
    timer = watch.step_timer()
    for stretch in range(2):
        sleep(NAP * (1 + stretch))  # between the stretches: nobody's step
        with watch.measure("train"):
            timer.start()
            for _ in range(3):
                sleep(NAP)
                timer.end_stage("data")
                for _ in range(2):  # alternating updates: two in a step
                    sleep(2 * NAP)
                    timer.end_stage("forward and backward")
                    sleep(NAP)
                    timer.end_stage("optimizer")
                timer.end_step()
        timer.read()
    assert len(timer.seconds) == 6
    assert sum(timer.seconds) <= watch.seconds["train"]  # what came between the stretches is nobody's
    for at, seconds in enumerate(timer.seconds):
        stages = [timer.stages[name][at] for name in ("data", "forward and backward", "optimizer")]
        assert stages[0] >= NAP and stages[1] >= 4 * NAP and stages[2] >= 2 * NAP
        assert sum(stages) <= seconds + 1e-6


def test_marks_do_not_wait_for_the_device(device):
    watch = clock.Clock(CPU, device)
    timer = watch.step_timer()
    timer.start()
    asked = time.perf_counter()
    for _ in range(5):
        device.sleep(LONG / 5)
        timer.end_stage("data")
        timer.end_step()
    assert time.perf_counter() - asked < LONG / 2
    device.synchronize()
    timer.read()
    assert sum(timer.seconds) >= LONG


def test_steps_that_run_as_one_share_their_time(device):
    timer = clock.StepTimer(device)
    timer.start()
    device.sleep(4 * NAP)
    timer.end_step(4)
    device.sleep(NAP)
    timer.end_step()
    device.synchronize()
    timer.read()
    assert timer.seconds[:4] == [timer.seconds[0]] * 4
    assert timer.seconds[0] >= NAP and timer.seconds[4] >= NAP
    assert len(timer.seconds) == 5


def test_stages_of_some_steps_are_timed_where_marks_cost(device):
    device.stage_interval = 4
    timer = clock.StepTimer(device)
    timer.start()
    for _ in range(9):
        timer.end_stage("data")
        timer.end_step()
    device.synchronize()
    timer.read()
    assert len(timer.seconds) == 9
    assert list(timer.stages["data"]) == [0, 4, 8]


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
    assert clock.warm_up_steps(seconds) == left_out


def test_a_phase_that_never_settles_loses_half_of_its_steps_at_most():
    # two fast steps, three slow ones: no five in a row
    assert clock.warm_up_steps([(1.0, 1.0, 1.0, 9.0)[step % 4] for step in range(40)]) == 20


def test_quantiles_are_values_that_were_measured():
    values = [float(n) for n in range(1, 101)]
    assert [clock.quantile(values, share) for share in (0.5, 0.95, 1.0)] == [50.0, 95.0, 100.0]
    assert clock.quantile([7.0], 0.95) == 7.0
    assert clock.quantile([3.0, 1.0, 2.0], 0.5) == 2.0


def measure_memory():
    """What the meter says in a process of its own: here, freed memory of earlier tests may be used again."""
    memory = clock.PeakMemory(CPU)
    before = memory.resident()
    large = torch.ones(32, 2**20)  # 128 MiB
    del large
    return before, memory.resident(), memory.peak(), memory.reserved(), clock.PeakMemory(CPU).peak()


def test_peak_memory_is_the_peak_and_not_what_is_left():
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        before, resident, peak, reserved, of_next_case = pool.apply(measure_memory)
    if before is None:
        pytest.skip("/proc/self/clear_refs can't be written here: the peak can't be reset")
    assert peak == resident and reserved is None
    assert peak - before > 100 * 2**20
    assert of_next_case < peak - 100 * 2**20  # each case starts anew


def test_energy_is_blank_without_a_gpu():
    assert clock.Energy(CPU).joules() is None


def test_the_clock_sees_a_sleep_and_bills_no_pause():
    watch = clock.Clock(CPU)
    for _ in range(2):
        with watch.measure("work"):
            time.sleep(0.05)
        time.sleep(0.2)
    assert 0.1 <= watch.seconds["work"] < 0.3
    with pytest.raises(ZeroDivisionError), watch.measure("fails"):
        1 / 0  # noqa: B018
    assert watch.seconds["fails"] < 0.05 and set(watch.seconds) == {"work", "fails"}
