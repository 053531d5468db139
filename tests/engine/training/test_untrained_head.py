"""A trace point knows nothing of a method's predictions while the head that it predicts with has not learned."""

from __future__ import annotations

from typing import Any

import pytest
from engine_runs import run_done, short_suite
from plugin_files import plugged

from tlbench.terms import TracePoint

TRACED: dict[str, Any] = {"trace": 4, "steps": 40, "net": {"batch_norm": True}}
HALF = (False, False, True, True)
"""Whether each trace point knows something: the phase of the source takes half of the steps."""
UNTRAINED = {
    "linear_probe": HALF,
    "cosine_head": HALF,
    "lp_ft": HALF,
    "prototypical": (False, False, False, True),
}
TRAINED = ("source_only", "fine_tune", "nearest_class_mean", "adabn", "lora", "adapters", "bitfit", "mean_teacher", "adda")


def knows(point: TracePoint) -> bool:
    """Whether a trace point has facts of predictions; it has both or none."""
    facts = point.source_validation_accuracy, point.target_entropy
    assert None not in facts or facts == (None, None)
    return None not in facts


@pytest.mark.parametrize("name", [*UNTRAINED, *TRAINED])
def test_trace_points_before_the_head_learns_say_nothing_of_predictions(name):
    record = run_done(name, short_suite(**TRACED))
    trace = record.scores.trace
    assert [point.step for point in trace] == [10, 20, 30, 40]
    assert tuple(map(knows, trace)) == UNTRAINED.get(name, (True,) * 4)
    assert all(point.loss is not None for point in trace)


@pytest.mark.parametrize("name", ["nearest_class_mean", "prototypical", "linear_probe"])
def test_the_last_trace_point_is_that_of_the_method_that_is_scored(name):
    scores = run_done(name, short_suite(**TRACED)).scores
    assert scores.trace[-1].source_validation_accuracy == scores.source_accuracy


def test_a_head_of_a_third_party_method_counts_as_well(tmp_path):
    body = (
        "class Later(DeepMethod):\n    reads = frozenset({'source'})\n"
        "    def build(self):\n        self.second = self.net.new_head()\n"
        "    def phases(self):\n        source = frozenset({'source'})\n"
        "        first = Phase(self.supervised, source, 0.25, (Group((self.net,)),))\n"
        "        return first, Phase(self.loss, source, 0.75, (Group((self.second,)), Group((self.net,), 0.0)))\n"
        "    def loss(self, step: Step) -> Tensor:\n        return self.criterion(self.predict(step.source.x), step.source.y)\n"
        "    def predict(self, x: Tensor) -> Tensor:\n        return self.second(self.net.backbone(x))\n"
    )
    with plugged(tmp_path, "later", body) as name:
        trace = run_done(name, short_suite(**TRACED)).scores.trace
    assert list(map(knows, trace)) == [False, True, True, True]
