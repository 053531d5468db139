"""Open label sets: the scores of unknown samples, and what methods with and without an answer "unknown" get."""

from __future__ import annotations

import pytest
import torch
from tiny_suite import CPU, blobs, case, suite
from torch import Tensor

from tlbench import engine, methods
from tlbench.checks.scores import score_errors
from tlbench.engine.isolated import IsolatedCase, run_packed
from tlbench.engine.runtime import metrics
from tlbench.methods.base import DeepMethod
from tlbench.terms import Domain, Record, Step

NAMES = ("x", "y", "u", "v")
TARGET = Domain("b", blobs(2, 60, classes=4), NAMES, "b")
DOMAINS = {"a": Domain("a", blobs(1, 60, classes=2), ("x", "y"), "a"), "b": TARGET}


class Confident(DeepMethod):
    """Unknown where no class has a probability of `threshold`."""

    reads = frozenset({"source"})
    label_sets = frozenset({"open", "universal"})
    threshold = 0.9

    def loss(self, step: Step) -> Tensor:
        """CE(source), a scalar."""
        return self.supervised(step)

    def predict(self, x: Tensor) -> Tensor:
        """Probabilities (B, C), and the threshold as the score of "unknown"."""
        probability_BC = self.net(x).softmax(dim=1)
        return torch.cat([probability_BC, torch.full_like(probability_BC[:, :1], self.threshold)], dim=1)


@pytest.fixture
def confident() -> str:
    return methods.register_class(Confident)


def run(method: str, **protocol) -> Record:
    one = suite(protocol={"label_set": "open", "metric": "h_score", **protocol}, train={"steps": 60, "lr": 0.02})
    return engine.run_case(case(method), one, DOMAINS, CPU)


@pytest.mark.parametrize(
    ("by_class", "known", "unknown", "h_score"),
    [
        ({"x": 0.9, "y": 0.3, "unknown": 0.4}, 0.6, 0.4, 0.48),  # 2 * 0.6 * 0.4 / (0.6 + 0.4)
        ({"x": 1.0, "y": 0.5, "unknown": 0.0}, 0.75, 0.0, 0.0),
        ({"x": 0.0, "y": 0.0, "unknown": 0.0}, 0.0, 0.0, 0.0),
        ({"x": 0.5, "y": None, "unknown": 1.0}, 0.5, 1.0, 2 / 3),  # a class without scored samples counts for nothing
        ({"x": 0.5, "y": 0.5, "unknown": None}, 0.5, None, None),
        ({"x": None, "y": None, "unknown": 0.7}, None, 0.7, None),
    ],
    ids=str,
)
def test_h_score_by_hand(by_class, known, unknown, h_score):
    scores = metrics.open_set_scores(by_class)
    expected = {"known_accuracy": known, "unknown_accuracy": unknown, "h_score": h_score}
    assert scores.keys() == expected.keys()
    for name, value in expected.items():
        assert scores[name] == (None if value is None else pytest.approx(value, abs=1e-12))


def test_known_classes_count_alike_however_many_samples_they_have():
    y = torch.tensor([0] * 8 + [1] * 2 + [2] * 4)
    predicted = torch.tensor([0] * 8 + [0, 1] + [2, 2, 2, 0])
    scores = metrics.classification_scores(predicted, y, ("x", "y", "unknown"), open_set=True)
    assert scores["known_accuracy"] == 0.75, "the mean of 1 and 1/2, where the share of samples would be 0.9"
    assert (scores["unknown_accuracy"], scores["h_score"]) == (0.75, 0.75)
    assert scores["target_accuracy"] == pytest.approx(12 / 14)
    assert "h_score" not in metrics.classification_scores(predicted, y, ("x", "y", "z"))


def test_a_method_without_an_answer_unknown_has_an_h_score_of_0():
    record = run("source_only")
    assert record.status == "done", record.reason
    scores = record.scores
    assert list(scores.per_class_accuracy or ()) == ["x", "y", "unknown"] and record.label_set == "open"
    assert (scores.known_accuracy, scores.unknown_accuracy, scores.h_score) == (1.0, 0.0, 0.0)
    assert scores.target_accuracy == 0.5 and not [*score_errors(record)]


def test_a_method_that_predicts_index_C_is_scored_on_unknown_samples(confident):
    record = run(confident)
    assert record.status == "done", record.reason
    assert record.scores.h_score is not None and record.scores.h_score > 0.5
    wrong = record.scores.model_copy(update={"h_score": 0.99})
    assert "h_score is 0.99" in " ".join(score_errors(record.model_copy(update={"scores": wrong})))
    closed = engine.run_case(case(confident), suite(), DOMAINS, CPU)
    assert closed.status == "skipped" and "supports the label sets open and universal" in (closed.reason or "")


def test_another_process_may_send_the_column_of_unknown(confident):
    one = suite(protocol={"label_set": "open"})
    isolated = IsolatedCase(case(confident), one, DOMAINS, CPU)
    record = isolated.record(run_packed(isolated.inputs, CPU))
    assert record.status == "done", record.reason
    assert record.scores == engine.run_case(case(confident), one, DOMAINS, CPU).scores


def test_labelled_samples_show_unknown_as_a_class_of_its_own():
    record = run("target_only", target_labels=4)
    assert record.status == "done", record.reason
    assert record.scores.h_score is not None and record.scores.h_score > 0.9
