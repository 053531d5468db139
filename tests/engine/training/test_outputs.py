"""The boundary between a method and the engine: outputs of a wrong shape are one sentence, and never a number."""

from __future__ import annotations

import re

import pytest
from plugin_files import plugged
from tiny_suite import CPU, blobs, case, domain, suite

from tlbench import clock, engine
from tlbench.checks.method import predicts_finite_scores, regresses_without_shift
from tlbench.checks.toy_task import predict_scores, toy_regression, toy_suite
from tlbench.errors import DivergedError, TlbenchError
from tlbench.terms import Task

DEEP = 'class Wrong(DeepMethod):\n    reads = frozenset({{"source"}})\n    tasks = frozenset({{"{task}"}})\n' + (
    "    def loss(self, step: Step) -> Tensor:\n        return self.supervised(step)\n"
    "    def predict(self, x: Tensor) -> Tensor:\n        scores = self.net(x)\n        return {returned}\n"
)
SHALLOW = 'class Wrong(ShallowMethod):\n    reads = frozenset({{"source"}})\n    tasks = frozenset({{"{task}"}})\n' + (
    "    def fit(self, task: Task) -> Predictor:\n        weight = torch.ones(task.source.x.shape[1], task.classes)\n"
    "        def predict(x):\n            scores = x @ weight\n            return {returned}\n        return predict\n"
)
SHAPES = {
    "scores[:, 1:]": r"\(9, 2\)",
    "scores[:, :1]": r"\(9, 1\)",
    "scores[:, 0]": r"\(9,\)",
    "scores.argmax(1)": r"\(9,\)",
    "scores.unsqueeze(0)": r"\(1, 9, 3\)",
    "scores.T": r"\(3, 9\)",
    "scores[:-1]": r"\(8, 3\)",
    "scores.mean()": r"\(\)",
    "scores > 0": "torch.bool",
    "scores + 1j": "torch.complex64",
    "scores.tolist()": "type list",
    "None": "type NoneType",
}
"""What a predictor returns instead of class scores (9, 3) -> how the error names it."""


@pytest.mark.parametrize("body", [DEEP, SHALLOW], ids=["deep", "shallow"])
@pytest.mark.parametrize("returned", SHAPES)
def test_class_scores_of_a_wrong_shape_fail(returned, body, tmp_path):
    chosen = suite(protocol={"scored": "test", "source_held_out": 0.0}, train={"trace": 0})
    domains = {"a": domain("a", blobs(1)), "b": domain("b", blobs(2), blobs(3, 9))}
    with plugged(tmp_path, "wrong", body.format(task="classification", returned=returned)) as name:
        record = engine.run_case(case(name), chosen, domains, CPU)
        with pytest.raises(TlbenchError, match=r"Wrong predicts outputs of .* here \(\d+, 3\)"):
            predicts_finite_scores(name)
    assert record.status == "failed" and record.scores.target_accuracy is None
    told = (
        "for 9 samples and 3 classes. They must be class scores, a tensor of floats of the shape (N, C), here (9, 3) (wrong.py:"
    )
    assert record.reason.startswith("Wrong predicts outputs of ") and told in record.reason
    assert re.search(SHAPES[returned], record.reason)


@pytest.mark.parametrize("body", [DEEP, SHALLOW], ids=["deep", "shallow"])
def test_scores_that_exclude_every_class_fail(body, tmp_path):
    domains = {"a": domain("a", blobs(1)), "b": domain("b", blobs(2), blobs(3, 9))}
    with plugged(tmp_path, "wrong", body.format(task="classification", returned="scores - torch.inf")) as name:
        record = engine.run_case(case(name), suite(protocol={"scored": "test"}), domains, CPU)
        with pytest.raises(DivergedError, match=r"(\d+) of \1 predictions exclude every class"):
            predicts_finite_scores(name)
    assert record.status == "failed" and "exclude every class: all their scores are minus infinity" in record.reason


@pytest.mark.parametrize("body", [DEEP, SHALLOW], ids=["deep", "shallow"])
@pytest.mark.parametrize("columns", [1, 2])
def test_predictions_of_a_regression_have_a_column_for_each_target(columns, body, tmp_path):
    """(N,) for one target column was broadcast to (N, N), and R2 was -0.997 for 0.99988."""
    task = Task(columns, toy_regression(1, columns=columns), regression=True)
    with plugged(tmp_path, "wrong", body.format(task="regression", returned="scores[:, 0]")) as name:
        fitted = engine.fit(case(name), toy_suite(2, task="regression"), task, clock.Clock(CPU), lambda use: 0, CPU)
        with pytest.raises(TlbenchError, match=rf"Wrong predicts outputs of the shape \(7,\) .* here \(7, {columns}\)"):
            predict_scores(fitted, toy_regression(2, 7).x)
        with pytest.raises(TlbenchError, match=r"Wrong predicts outputs of the shape \(90,\) .* 1 target column\."):
            regresses_without_shift(name)
