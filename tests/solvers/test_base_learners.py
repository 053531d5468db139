"""Base learners of the shallow methods: weights, ridge, regression, against scikit-learn."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.linear_model import Ridge, RidgeClassifier
from sklearn.neighbors import KNeighborsRegressor
from sklearn.svm import SVC

from tlbench.solvers import base_learners


def weighted_samples(count: int, columns: int = 4, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """x (N, D), classes (N,), weights (N,) of mean 1."""
    draw = torch.Generator().manual_seed(seed)
    x = torch.randn(count, columns, generator=draw).double()
    y = (x[:, 0] + 0.5 * torch.randn(count, generator=draw) > 0).long() + (x[:, 1] > 0.5).long()
    weight = torch.rand(count, generator=draw).double()
    return x, y, weight / weight.mean()


@pytest.mark.parametrize(("count", "columns"), [(50, 4), (8, 30)])
@pytest.mark.parametrize("weighted", [False, True])
def test_ridge_is_that_of_scikit_learn_in_either_space(count, columns, weighted):
    x, y, weight = weighted_samples(count, columns)
    targets = torch.stack([y.double(), x[:, 0] ** 2], dim=1)
    weights = weight if weighted else None
    ours = base_learners.fit_ridge(x, targets, weight_N=weights, penalty=0.3)(x)
    theirs = Ridge(alpha=0.3).fit(x.numpy(), targets.numpy(), sample_weight=None if weights is None else weights.numpy())
    assert np.allclose(ours.numpy(), theirs.predict(x.numpy()), atol=1e-9)


def test_a_weighted_svm_is_that_of_scikit_learn():
    x, y, weight = weighted_samples(60)
    theirs = SVC(kernel="linear").fit(x.numpy(), y.numpy(), sample_weight=weight.numpy()).predict(x.numpy())
    assert base_learners.fit_svm(x, y, 3, weight_N=weight)(x).argmax(1).tolist() == theirs.tolist()
    assert torch.equal(base_learners.fit_svm(x, y, 3, weight_N=torch.ones(60))(x), base_learners.fit_svm(x, y, 3)(x))


@pytest.mark.parametrize("learner", ["logistic", "svm", "ridge"])
def test_a_sample_without_weight_is_no_sample(learner):
    x, y, weight = weighted_samples(60)
    weight[:20] = 0
    with_zeros = base_learners.fit_learner(learner, x, y, 3, weight_N=weight)(x)
    without = base_learners.fit_learner(learner, x[20:], y[20:], 3, weight_N=weight[20:])(x)
    assert torch.allclose(with_zeros, without, atol=1e-2 if learner == "svm" else 1e-6)
    assert torch.equal(with_zeros.argmax(1), without.argmax(1))


def test_an_svm_whose_weights_leave_one_class_predicts_that_class():
    x, y, weight = weighted_samples(60)
    weight[y != 2] = 0
    assert base_learners.fit_svm(x, y, 3, weight_N=weight)(x).argmax(1).tolist() == [2] * 60


def test_least_squares_on_signs_is_that_of_scikit_learn():
    x, y, weight = weighted_samples(300)
    theirs = RidgeClassifier(alpha=2.0).fit(x.numpy(), y.numpy(), sample_weight=weight.numpy()).predict(x.numpy())
    assert base_learners.fit_learner("ridge", x, y, 3, weight_N=weight, c=0.5)(x).argmax(1).tolist() == theirs.tolist()


def test_regression_takes_ridge_or_the_nearest_sample():
    x, y, _ = weighted_samples(50)
    targets = torch.stack([y.double(), x[:, 0]], dim=1)
    new = weighted_samples(20, seed=1)[0]
    theirs = KNeighborsRegressor(1).fit(x.numpy(), targets.numpy()).predict(new.numpy())
    assert np.allclose(base_learners.fit_learner("nearest_neighbor", x, targets, 2, regression=True)(new).numpy(), theirs)
    ridge = base_learners.fit_ridge(x, targets)(new)
    for learner in ("logistic", "svm", "ridge"):
        assert torch.equal(base_learners.fit_learner(learner, x, targets, 2, regression=True)(new), ridge)


def test_one_sample_is_enough_for_a_logistic_regression():
    scores = base_learners.fit_logistic(torch.ones(1, 3), torch.tensor([1]), 3)(torch.ones(2, 3))
    assert bool(torch.isfinite(scores).all()) and scores.argmax(1).tolist() == [1, 1]
