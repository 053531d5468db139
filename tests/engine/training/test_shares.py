"""The budget: no method takes more steps than its suite has."""

from __future__ import annotations

import math
import random

import pytest
from engine_runs import blob_domains
from plugin_files import plugged
from tiny_suite import CPU, case, suite

from tlbench import checks, engine
from tlbench.engine.training.shares import steps_of_phases
from tlbench.errors import TlbenchError
from tlbench.methods.base import Phase


def phases(*shares: float) -> list[Phase]:
    return [Phase(lambda step: step, frozenset({"source"}), share) for share in shares]


@pytest.mark.parametrize(
    "shares", [(5.0,), (1.0, 1.0), (0.7, 0.7), (-1.0, 2.0), (2.0, -1.0), (1.1,), (math.nan,), (math.inf,), (0.0,) * 101]
)
def test_no_method_sets_its_own_budget(shares):
    with pytest.raises(TlbenchError, match=r"^Greedy\.phases\(\) has .* steps\. Each "):
        steps_of_phases(phases(*shares), 100, "Greedy")


def test_phases_never_take_more_steps_than_there_are():
    draw = random.Random(0)
    for _ in range(300):
        weights = [draw.choice([0.0, 1e-4, draw.random()]) for _ in range(draw.randint(1, 6))]
        total = max(sum(weights), 1e-9)
        steps = draw.randint(len(weights), 200)
        counts = steps_of_phases(phases(*[weight / total for weight in weights]), steps, "any")
        assert min(counts) >= 1 and sum(counts) <= steps
    assert steps_of_phases(phases(0.5, 0.5), 101, "any") == [50, 51]
    assert steps_of_phases(phases(0.001, 0.999), 100, "any") == [1, 99]
    assert steps_of_phases(phases(1 / 3, 1 / 3, 1 / 3), 100, "any") == [33, 34, 33]
    assert steps_of_phases([*phases(1.0), Phase(None, frozenset(), 1.0)], 7, "any") == [7, 0]


@pytest.mark.parametrize(
    "returned", ["(Phase(self.supervised, self.reads, share=5.0),)", "(Phase(self.supervised, self.reads),) * 2"]
)
def test_run_and_check_refuse_more_steps(returned, tmp_path):
    body = f'class Greedy(DeepMethod):\n    reads = frozenset({{"source"}})\n    def phases(self):\n        return {returned}\n'
    with plugged(tmp_path, "greedy", body) as name:
        record = engine.run_case(case(name), suite(), blob_domains(), CPU)
        with pytest.raises(TlbenchError, match=r"Greedy\.phases\(\) has the shares"):
            checks.fit_method(name, checks.toy_task())
    assert record.status == "failed" and record.reason.startswith("Greedy.phases() has the shares ")
    assert record.reason.endswith("their sum must not exceed 1, for every method has the same budget.")
