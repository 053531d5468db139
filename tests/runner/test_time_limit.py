"""The time limit of a case in this process."""

from __future__ import annotations

import signal

import pytest
from planned_runs import SHALLOW, planned
from plugin_files import plugged
from tiny_suite import CPU

from tlbench.runner import local, time_limit
from tlbench.runner.worker import Limits


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
