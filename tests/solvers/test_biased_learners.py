"""Ridge and logistic regression that start from another model."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from golden_arrays import GoldenArrays
from linear_samples import linear, mirrored
from sklearn.linear_model import Ridge as TheirRidge

from tlbench import checks
from tlbench.solvers import base_learners, softmax

theirs = GoldenArrays("reweighting")


def test_the_biased_ridge_is_that_of_adapt_with_its_penalty_squared():
    x, y = mirrored(
        torch.tensor(theirs.arrays["target_labeled"]), torch.tensor(theirs.arrays["column_target_labeled"])[:, None]
    )
    start = torch.tensor(theirs.arrays["start"])[None]
    w, b = base_learners.ridge_regression(x, y, penalty=2 * 1.5**2, toward_KD=start)
    assert np.abs(w[0].numpy() - theirs.arrays["biased"].ravel()).max() < 1e-9 and float(b.abs().max()) < 1e-12


@pytest.mark.parametrize("count", [4, 40])
def test_the_biased_ridge_is_a_ridge_on_the_residual(count):
    x, y = linear(count, 1)
    start = torch.randn(1, 5, generator=torch.Generator().manual_seed(2)).double()
    w, b = base_learners.ridge_regression(x, y, penalty=0.7, toward_KD=start)
    peer = TheirRidge(alpha=0.7).fit(x.numpy(), (y - x @ start.T).numpy())
    assert np.allclose(w.numpy(), peer.coef_ + start.numpy()) and np.allclose(b.numpy(), peer.intercept_)
    assert torch.allclose(base_learners.ridge_regression(x, y, penalty=1e12, toward_KD=start)[0], start, atol=1e-9)
    exact = x @ start.T + 3.0
    for penalty in (1e-6, 1.0, 1e6):
        w, b = base_learners.ridge_regression(x, exact, penalty=penalty, toward_KD=start)
        assert torch.allclose(w, start, atol=1e-9) and torch.allclose(b, torch.tensor([3.0]).double())


def test_a_logistic_regression_with_an_offset_starts_from_it():
    source, target = checks.toy_samples(1), checks.toy_samples(3, 30, shift=0.7)
    w, b = softmax.softmax_regression(source.x, source.y, 3)
    offset = target.x.double() @ w.T + b
    v, shift = softmax.softmax_regression(target.x, target.y, 3, penalty=1e9, offset_NC=offset)
    assert float(v.abs().max()) < 1e-6
    # with the offset in the scores it is the regression of the sum, penalised at the difference
    v, shift = softmax.softmax_regression(target.x, target.y, 3, penalty=0.5, offset_NC=offset)

    def value(v: torch.Tensor, shift: torch.Tensor) -> float:
        scores = target.x.double() @ (w + v).T + b + shift
        return float(torch.nn.functional.cross_entropy(scores, target.y, reduction="sum") + 0.25 * v.square().sum())

    assert value(v, shift) <= value(torch.zeros_like(v), torch.zeros_like(shift))
    for _ in range(5):
        assert value(v, shift) <= value(v + 0.01 * torch.randn_like(v), shift + 0.01 * torch.randn_like(shift)) + 1e-4
