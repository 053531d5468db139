"""Work outside the fit and the steps is training time: in the construction of a method, and in its first predictions."""

from __future__ import annotations

import pytest
from engine_runs import blob_domains, short_suite
from plugin_files import PLAIN_LOSS, plugged
from tiny_suite import CPU, case, suite

from tlbench import engine
from tlbench.checks.costs import cost_errors
from tlbench.clock import Clock
from tlbench.engine.cost import bill_late_work
from tlbench.engine.fitting import FittedMethod
from tlbench.engine.runtime.throughput import UNSCORED
from tlbench.engine.training.outcome import Outcome

PAUSE = 0.75
"""Seconds of work in the wrong place: more than the margin of 0.5."""
LAZY_SHALLOW = (
    "import time\nclass Lazy(ShallowMethod):\n    reads = frozenset({'source'})\n"
    "    def fit(self, task: Task) -> Predictor:\n        task_of, means = [task], []\n"
    "        def predict(x):\n            if task_of:\n"
    f"                time.sleep({PAUSE})\n                task = task_of.pop()\n"
    "                means.extend(task.source.x[task.source.y == c].mean(0) for c in range(task.classes))\n"
    "            return -torch.cdist(x, torch.stack(means))\n        return predict\n"
)
SLOW_BUILD = (
    "import time\nclass Slow(DeepMethod):\n    reads = frozenset({'source'})\n"
    f"    def build(self) -> None:\n        time.sleep({PAUSE})\n{PLAIN_LOSS}"
)
LAZY_DEEP = (
    "import time\nclass Lazy(DeepMethod):\n    reads = frozenset({'source'})\n"
    "    def build(self) -> None:\n        self.waited = []\n"
    f"    def predict(self, x: Tensor) -> Tensor:\n        if not self.waited:\n            time.sleep({PAUSE})\n"
    f"            self.waited.append(1)\n        return self.net(x)\n{PLAIN_LOSS}"
)
NOTES = {
    "shallow": (LAZY_SHALLOW, "the first predictions took "),
    "trace": (LAZY_DEEP, "the first predictions took "),
    "warm-up": (LAZY_DEEP, "the first predictions took "),
    "build": (SLOW_BUILD, "the method was built in "),
}


@pytest.mark.parametrize("where", NOTES)
def test_a_fit_in_another_place_is_billed_as_training(where, tmp_path):
    body, words = NOTES[where]
    chosen = suite(train={"trace": 0 if where == "warm-up" else 2})
    with plugged(tmp_path, "misplaced", body) as name:
        record = engine.run_case(case(name), chosen, blob_domains(), CPU)
    cost = record.cost
    assert record.status == "done" and cost.train_seconds >= PAUSE, record.reason
    assert any(note.startswith(words) for note in record.notes)
    samples = 45 if where == "shallow" else 5 * 8
    assert cost.train_samples_per_second < samples / PAUSE
    assert [*cost_errors(record)] == []


@pytest.mark.parametrize("name", ["source_only", "nearest_neighbor", "ot_exact"])
def test_an_honest_method_has_no_such_note(name):
    record = engine.run_case(case(name), short_suite(protocol={"scored": "adapted"}), blob_domains(), CPU)
    assert record.status == "done" and not [note for note in record.notes if "first predictions" in note or "built" in note]


@pytest.mark.parametrize(
    ("unscored", "predict", "sizes", "late"),
    [
        (3.0, 0.01, [100], 2.99),  # one warm-up of the size of the scored samples: 0.01 s are expected
        (0.5, 0.0001, [100], 0.0),  # within 0.5 s
        (3.0, 0.4, [100], 0.0),  # within 10 times
        (3.0, 0.01, [100] * 40, 0.0),  # within 10 times of 40 such predictions
        (8.0, 0.01, [100] * 40, 7.6),
        (8.0, 1.0, [5] * 40, 0.0),  # each call takes long, whatever its size
    ],
)
def test_the_margin_is_half_a_second_and_ten_times(unscored, predict, sizes, late):
    clock, fitted = Clock(CPU), FittedMethod(lambda x: x, None, Outcome(), None)
    clock.seconds = {"train": 1.0, UNSCORED: unscored, "predict": predict}
    notes = bill_late_work(fitted, clock, sizes, 100)
    assert clock.seconds["train"] == pytest.approx(1.0 + late)
    assert fitted.outcome.throughput.other_seconds == pytest.approx(late)
    assert bool(notes) == bool(late)
