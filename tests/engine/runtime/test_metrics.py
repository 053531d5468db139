"""Metrics agree with scikit-learn's."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from tlbench.engine.runtime import metrics
from tlbench.errors import DivergedError


def test_scores_are_those_of_scikit_learn():
    from sklearn.metrics import accuracy_score, f1_score

    rng = np.random.default_rng(0)
    y, said = rng.integers(0, 4, 200), rng.integers(0, 4, 200)
    y_N, said_N = torch.from_numpy(y), torch.from_numpy(said)
    assert metrics.accuracy(said_N, y_N) == pytest.approx(accuracy_score(y, said))
    assert metrics.macro_f1(said_N, y_N, 4) == pytest.approx(f1_score(y, said, average="macro"))
    per_class = metrics.per_class_accuracy(said_N, y_N, "abcd")
    assert per_class == {name: pytest.approx((said[y == i] == i).mean()) for i, name in enumerate("abcd")}


def test_a_class_without_scored_rows_has_no_score():
    from sklearn.metrics import f1_score

    y, said = torch.tensor([0, 0, 1, 1]), torch.tensor([0, 2, 1, 1])
    assert metrics.per_class_accuracy(said, y, ("a", "b", "c")) == {"a": 0.5, "b": 1.0, "c": None}
    assert metrics.macro_f1(said, y, 3) == pytest.approx(f1_score(y, said, average="macro", labels=[0, 1], zero_division=0))
    assert metrics.macro_f1(torch.tensor([1, 1]), torch.tensor([0, 0]), 2) == 0.0


def test_the_highest_score_is_the_class_and_no_number_is_none():
    assert metrics.predicted_classes(torch.tensor([[0.0, -torch.inf, 1.0], [2.0, 0.0, 0.0]])).tolist() == [2, 0]
    with pytest.raises(DivergedError, match="1 of 2 predictions"):
        metrics.predicted_classes(torch.tensor([[0.0, torch.nan], [1.0, 0.0]]))


def test_entropy_is_in_nats():
    assert metrics.mean_entropy(torch.zeros(3, 4)) == pytest.approx(np.log(4))
    assert metrics.mean_entropy(torch.tensor([[100.0, 0.0]])) == pytest.approx(0.0, abs=1e-6)
    assert metrics.mean_entropy(torch.tensor([[0.0, 0.0, -torch.inf]])) == pytest.approx(np.log(2))
