"""The time limit of a case in this process."""

from __future__ import annotations

import signal
from dataclasses import dataclass, field

import pytest
from planned_runs import SHALLOW, planned
from plugin_files import plugged
from tiny_suite import CPU

from tlbench.runner import local, scheduler, time_limit
from tlbench.runner.pools.process_pool import ProcessPool
from tlbench.runner.pools.protocol import Begun
from tlbench.runner.worker import Limits, Worker


def test_a_case_that_takes_too_long_fails_and_the_others_are_done(tmp_path):
    slow = "    def loss(self, step):\n        import time\n        time.sleep(0.2)\n        return self.supervised(step)\n"
    stubborn = (
        "    def fit(self, task):\n        import time\n        try:\n            time.sleep(60)\n        except Exception:\n"
    )
    stubborn += "            time.sleep(60)\n"
    head = "class Slow(DeepMethod):\n    reads = frozenset({'source'})\n"
    with plugged(tmp_path, "slow", head + slow), plugged(tmp_path, "stubborn", SHALLOW + stubborn, ""):
        plan, results = planned(tmp_path, "[methods.slow]\n[methods.stubborn]\n[methods.nearest_neighbor]\n")
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(time_limit, "REPEAT_SECONDS", 0.2)
            limits = Limits(timeout_seconds=0.6)
            ended = {r.entry: (r.status, r.reason) for r in local.run(plan, results, CPU, limits=limits)}
    late = ("failed", "The case ran longer than --timeout 0.6 s.")
    assert ended == {"slow": late, "stubborn": late, "nearest_neighbor": ("done", None)}
    assert signal.getitimer(signal.ITIMER_REAL) == (0.0, 0.0)


def test_the_limit_does_not_count_the_import_of_the_method(tmp_path):
    """The import in a worker takes longer than the limit; the case itself does not."""
    slow_import = "import multiprocessing, time\nif multiprocessing.parent_process():\n    time.sleep(6)\nimport torch\n"
    quick = SHALLOW + "    def fit(self, task):\n        return lambda x: torch.ones(len(x), task.classes)\n"
    with plugged(tmp_path, "slow_import", quick, slow_import):
        plan, results = planned(tmp_path, "[methods.slow_import]\n")
        limits = Limits(threads=1, timeout_seconds=5)
        pool = ProcessPool(plan.worker_setup(limits), ["cpu"])
        (record,) = scheduler.run_plan(plan, results, pool, limits=limits)
    assert (record.status, record.reason) == ("done", None)


def test_the_limit_does_not_count_the_data_and_the_start_of_a_worker(tmp_path):
    """When the case begins its data are loaded, its method is imported, and the alarm does not run yet."""
    plan, _ = planned(tmp_path, "[methods.nearest_neighbor]\n")
    worker = Worker(plan.worker_setup(Limits(timeout_seconds=60)), "cpu")
    begun: list[tuple[list[str], tuple[float, float]]] = []
    record = worker.run(
        plan.jobs()[0], on_begin=lambda: begun.append(([*worker.domains], signal.getitimer(signal.ITIMER_REAL)))
    )
    assert record.status == "done" and begun == [(["a", "b"], (0.0, 0.0))]


@dataclass
class WaitingPool:
    """A pool of one slot whose case never ends, and begins when it is told to."""

    begins: bool
    stopped: list[int] = field(default_factory=list)
    waits: int = 0

    def size(self):
        return 1

    def idle(self):
        return [] if self.waits else [0]

    def start(self, slot, job):
        self.waits = 1

    def wait(self, seconds, on_message):
        if self.begins and self.waits == 1:
            on_message(Begun(0))
        self.waits += 1
        if self.waits > 20:
            raise StopIteration("it would wait on")

    def stop(self, slot):
        self.stopped.append(slot)

    def close(self):
        pass


@pytest.mark.parametrize("begins", [True, False])
def test_a_slot_is_stopped_only_after_its_case_has_begun(tmp_path, monkeypatch, begins):
    monkeypatch.setattr(scheduler, "GRACE_SECONDS", 0.0)
    plan, results = planned(tmp_path, "[methods.nearest_neighbor]\n")
    pool, ended = WaitingPool(begins), []
    run = scheduler.run_plan(plan, results, pool, limits=Limits(timeout_seconds=1e-9))
    if begins:
        ended = list(run)
    else:
        with pytest.raises(RuntimeError, match="StopIteration"):
            list(run)
    assert pool.stopped == [0] * begins and [record.status for record in ended] == ["failed"] * begins
