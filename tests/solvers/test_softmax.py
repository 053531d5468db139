"""The softmax regression at its default settings against a converged one of scikit-learn."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from sklearn.linear_model import LogisticRegression
from torch import Tensor

from tlbench.solvers.softmax import softmax_regression


def columns(kind: str, count: int, width: int, classes: int, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Samples (N, D) of overlapping classes (N,), with columns as `kind` says."""
    draw = torch.Generator().manual_seed(seed)
    x = torch.randn(count, width, generator=draw).double()
    y = (x[:, :classes] + torch.randn(count, classes, generator=draw)).argmax(dim=1)
    scale = torch.logspace(-4, 4, width).double()[torch.randperm(width, generator=draw)]
    if kind == "scaled":
        return x * scale, y
    if kind == "near-constant":
        return torch.cat([1 + 1e-4 * x[:, :3], torch.full((count, 1), 7.0).double(), x[:, 3:]], dim=1), y
    if kind == "offset":
        return x + 1e4 * scale, y
    if kind == "correlated":
        return x @ (torch.ones(width, width) + 1e-3 * torch.randn(width, width, generator=draw)).double(), y
    if kind == "tiny and large":  # the column of digits_jda: a deviation of 0.0044 beside 0.82
        return x * torch.where(torch.arange(width) % 2 == 0, 0.0044, 0.82).double(), y
    return x, y


KINDS = ("plain", "scaled", "near-constant", "offset", "correlated", "tiny and large")


def objective(x: Tensor, y: Tensor, w: Tensor, b: Tensor, penalty: float, weight: Tensor) -> float:
    return float((weight * F.cross_entropy(x @ w.T + b, y, reduction="none")).sum() + penalty / 2 * w.square().sum())


def reference(x: Tensor, y: Tensor, penalty: float, weight: Tensor) -> tuple[Tensor, Tensor]:
    """Coefficients and intercept of scikit-learn, whose one sigmoid pays |w|^2 where two softmax columns pay half of it."""
    classes = len(y.unique())
    c = (1 if classes > 2 else 2) / penalty
    machine = LogisticRegression(C=c, solver="newton-cholesky", tol=1e-12, max_iter=1000)
    machine.fit(x.numpy(), y.numpy(), sample_weight=weight.numpy())
    if classes > 2:
        return torch.tensor(machine.coef_), torch.tensor(machine.intercept_)
    return (torch.tensor(np.concatenate([-values, values])) / 2 for values in (machine.coef_, machine.intercept_))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("shape", [(200, 12, 3), (150, 10, 2), (40, 60, 4)])
@pytest.mark.parametrize("penalty", [1e-2, 1.0, 100.0])
@pytest.mark.filterwarnings("ignore::UserWarning", "ignore::scipy.linalg.LinAlgWarning")  # of the reference
def test_the_optimum_is_that_of_scikit_learn(kind, shape, penalty):
    x, y = columns(kind, *shape)
    weight = torch.rand(len(x), generator=torch.Generator().manual_seed(1)).double() * 2
    notes: list[str] = []
    w, b = softmax_regression(x, y, shape[2], weight_N=weight, penalty=penalty, note=notes.append)
    w_sklearn, b_sklearn = reference(x, y, penalty, weight)
    value, value_sklearn = (objective(x, y, *pair, penalty, weight) for pair in ((w, b), (w_sklearn, b_sklearn)))
    assert notes == [] and value <= value_sklearn * (1 + 1e-9)
    if value >= value_sklearn * (1 - 1e-9):  # the reference is at the optimum as well
        difference = (x @ w.T + b).softmax(dim=1) - (x @ w_sklearn.T + b_sklearn).softmax(dim=1)
        assert float(difference.abs().max()) < 1e-5


@pytest.mark.parametrize("kind", KINDS)
def test_the_gradient_vanishes_against_its_terms(kind):
    x, y = columns(kind, 300, 20, 5)
    w, b = softmax_regression(x, y, 5)
    residual = (x @ w.T + b).softmax(dim=1) - F.one_hot(y, 5)
    centered = x - x.mean(dim=0)
    scale = centered.abs().sum(dim=0)
    assert float(((residual.T @ centered + w).abs() / scale.clamp_min(1e-9)).max()) < 1e-5
    assert float(residual.sum(dim=0).abs().max()) < 1e-5 * len(x)


def test_the_note_names_iterations_norm_and_tolerance():
    x, y = columns("scaled", 200, 12, 3)
    notes: list[str] = []
    softmax_regression(x, y, 3, iterations=2, note=notes.append)
    assert len(notes) == 1 and notes[0].startswith("The logistic regression stopped after 2 iterations; the gradient norm")
    assert notes[0].endswith("above the tolerance 1e-10.")


@pytest.mark.parametrize("y", [[0, 0, 0, 0], [0, 2, 0, 2], [1, 1, 2, 0]])
@pytest.mark.parametrize("scale", [0.0, 1e-30, 1.0, 1e37, 1e59])
def test_absent_classes_and_extreme_scales_end_without_a_note(y, scale):
    x = scale * torch.randn(4, 3, generator=torch.Generator().manual_seed(0)).double()
    notes: list[str] = []
    w, b = softmax_regression(x, torch.tensor(y), 3, note=notes.append)
    assert bool(torch.isfinite(w).all() and torch.isfinite(b).all()) and notes == []
    absent = [c for c in range(3) if c not in y]
    assert not set((x @ w.T + b).argmax(dim=1).tolist()) & set(absent)


def test_the_tolerance_is_relative_to_a_tiny_objective():
    """Separable samples and a weak penalty."""
    x, y = columns("plain", 60, 100, 3)
    w, b = softmax_regression(x, y, 3, penalty=1e-4)
    probability = (x @ w.T + b).softmax(dim=1)
    expected, shift = reference(x, y, 1e-4, torch.ones(len(x)).double())
    assert torch.allclose(probability, (x @ expected.T + shift).softmax(dim=1), atol=1e-9)
    assert torch.allclose(w, expected - expected.mean(dim=0), rtol=1e-3, atol=1e-4)
