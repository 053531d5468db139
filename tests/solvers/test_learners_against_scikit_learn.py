"""Base learners of shallow methods against those of scikit-learn."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import KNeighborsClassifier

from tlbench.solvers import base_learners, nearest_neighbors


def wine(seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    from sklearn.datasets import load_wine

    x, y = load_wine(return_X_y=True)
    return (x - x.mean(0)) / x.std(0), y


@pytest.mark.parametrize("c", [0.1, 1.0, 100.0])
@pytest.mark.parametrize("weighted", [False, True])
def test_logistic_regression_is_that_of_scikit_learn(c, weighted):
    x, y = wine()
    x[:, 0] *= 100  # columns of very different width
    weights = np.random.default_rng(0).uniform(0.0, 2.0, len(y)) if weighted else np.ones(len(y))
    theirs = LogisticRegression(C=c, tol=1e-10, max_iter=100_000).fit(x, y, sample_weight=weights)
    ours = base_learners.fit_logistic(torch.tensor(x), torch.tensor(y), 3, weight_N=torch.tensor(weights), penalty=1 / c)
    scores = ours(torch.tensor(x))
    assert scores.shape == (len(y), 3)
    assert np.abs(scores.softmax(1).numpy() - theirs.predict_proba(x)).max() < 1e-4
    columns = torch.eye(13, dtype=torch.float64)
    our_coefficients = (ours(columns) - ours(torch.zeros(1, 13).double())).T
    # a weak penalty leaves the optimum flat: coefficients then differ more than what they say of any row
    tolerance = 2e-4 if c <= 1 else 1e-2
    assert (
        np.abs((our_coefficients - our_coefficients.mean(0)).numpy() - (theirs.coef_ - theirs.coef_.mean(0))).max() < tolerance
    )


def test_logistic_regression_of_two_classes_is_that_of_scikit_learn():
    x, y = wine()
    x, y = x[y < 2], y[y < 2]
    # two softmax columns w/2 and -w/2 pay |w|^2 / 2 where the one sigmoid of scikit-learn pays |w|^2
    theirs = LogisticRegression(C=2.0, tol=1e-10, max_iter=100_000).fit(x, y)
    ours = base_learners.fit_logistic(torch.tensor(x), torch.tensor(y), 2, penalty=1.0)
    assert np.abs(ours(torch.tensor(x)).softmax(1).numpy() - theirs.predict_proba(x)).max() < 1e-4


def test_a_weight_of_two_is_a_sample_twice():
    x, y = wine()
    weights = torch.ones(len(y))
    weights[:40] = 2
    twice = np.r_[np.arange(40), np.arange(len(y))]
    a = base_learners.fit_logistic(torch.tensor(x), torch.tensor(y), 3, weight_N=weights)
    b = base_learners.fit_logistic(torch.tensor(x[twice]), torch.tensor(y[twice]), 3)
    assert torch.allclose(a(torch.tensor(x)), b(torch.tensor(x)), atol=1e-6)


def test_the_nearest_neighbour_is_that_of_scikit_learn():
    x, y = wine()
    train, rest = np.arange(0, 178, 2), np.arange(1, 178, 2)
    theirs = KNeighborsClassifier(1).fit(x[train], y[train]).predict(x[rest])
    ours = nearest_neighbors.fit_nearest_neighbor(torch.tensor(x[train]), torch.tensor(y[train]), 3, chunk=17)
    assert ours(torch.tensor(x[rest])).argmax(1).tolist() == theirs.tolist()


def test_the_nearest_neighbour_takes_a_class_without_samples():
    rows = torch.tensor([[0.0], [1.0]])
    scores = nearest_neighbors.fit_nearest_neighbor(rows, torch.tensor([0, 2]), 4)(torch.tensor([[0.1], [0.9]]))
    assert scores.argmax(1).tolist() == [0, 2]
    assert scores[:, 1].eq(-torch.inf).all()


def test_the_svm_is_that_of_scikit_learn():
    from sklearn.svm import SVC

    x, y = wine()
    theirs = SVC(kernel="linear", C=1.0).fit(x[::2], y[::2]).predict(x[1::2])
    ours = base_learners.fit_svm(torch.tensor(x[::2]), torch.tensor(y[::2]), 3)(torch.tensor(x[1::2]))
    assert ours.argmax(1).tolist() == theirs.tolist()
