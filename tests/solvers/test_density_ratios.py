"""Density ratios by least squares, by maximum likelihood and by one density for each domain."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from golden_arrays import GoldenArrays
from reweighting_samples import method, shifted_pair
from scipy.optimize import minimize
from sklearn.covariance import ledoit_wolf

from tlbench.solvers.kernels import gaussian, nystrom
from tlbench.solvers.reweighting import (
    density_estimates,
    kliep,
    least_squares_ratio,
)
from tlbench.terms import Labelled, Task

theirs = GoldenArrays("reweighting")


@pytest.mark.parametrize(("name", "alpha"), [("ulsif", 0.0), ("rulsif", 0.1)])
def test_least_squares_ratios_are_those_of_adapt(name, alpha):
    centers = theirs(f"{name}_centres")
    phi = [gaussian.gram(x, centers, float(theirs.arrays["gamma"])) for x in (theirs("source"), theirs("target"))]
    theta = least_squares_ratio.ratio_coefficients(*least_squares_ratio.moments(*phi, alpha), float(theirs.arrays["ridge"]))
    assert torch.allclose(phi[0] @ theta, theirs(name).flatten(), atol=1e-12)


def test_kliep_is_more_likely_than_that_of_adapt_by_less_than_its_stopping_rule():
    """adapt's Frank-Wolfe has not converged: ours may only be better, and it is by less than 1e-4."""
    source, target, centers, gamma = theirs("source"), theirs("target"), theirs("kliep_centres"), float(theirs.arrays["gamma"])
    columns, mean, active = kliep.normalized_kernels(
        gaussian.gram(target, centers, gamma), gaussian.gram(source, centers, gamma)
    )
    beta, gap, _ = kliep.mixture_weights(columns)
    assert active.all() and gap <= 1e-8 and (columns.T @ (1 / (columns @ beta)) / len(target) <= 1 + 1e-8).all()
    ours = gaussian.gram(source, centers, gamma) @ (beta / mean)
    assert float(ours.mean()) == pytest.approx(1.0, abs=1e-12)
    assert torch.allclose(ours, theirs("kliep").flatten(), atol=0.05)
    # their weights are on source samples only: their objective is read off the alpha that gives those weights
    alpha = torch.linalg.lstsq(gaussian.gram(source, centers, gamma), theirs("kliep").reshape(-1, 1)).solution[:, 0]
    their_objective = (gaussian.gram(target, centers, gamma) @ alpha).clamp_min(1e-300).log().mean()
    gain = float((columns @ beta).log().mean() - their_objective)
    assert -1e-8 < gain < 1e-4


@pytest.mark.parametrize("scale", [1e-4, 1.0, 1e4])
@pytest.mark.parametrize("columns", [1, 3, 40])
def test_kliep_at_its_defaults_is_as_likely_as_slsqp(scale, columns):
    source, target = (scale * x for x in shifted_pair(80, 60, columns))
    kliep_method = method("kliep", centres=20)
    torch.manual_seed(0)
    w = kliep_method.weights(Labelled(source, torch.zeros(80).long()), target, Task(2, None, None))
    assert kliep_method.notes == () and float(w.mean()) == pytest.approx(1.0, abs=1e-9)
    gamma = nystrom.pooled_median_gamma(source, target)
    for factor in (0.0625, 1.0, 16.0, 1e3):
        centers = target[:20]
        phi = [gaussian.gram(x, centers, factor * gamma) for x in (target, source)]
        q, _, _ = kliep.normalized_kernels(*phi)
        beta, gap, _ = kliep.mixture_weights(q)
        assert gap <= 1e-8 and float(beta.sum()) == pytest.approx(1.0, abs=1e-12) and float(beta.min()) >= 0
        rows = q[q.amax(dim=1) > 0]
        rows = (rows / rows.amax(dim=1, keepdim=True)).numpy()
        slsqp = minimize(
            lambda b, q=rows: -np.log(np.maximum(q @ b, 1e-300)).mean(),
            np.full(q.shape[1], 1 / q.shape[1]),
            jac=lambda b, q=rows: -(q / np.maximum(q @ b, 1e-300)[:, None]).mean(axis=0),
            bounds=[(0, 1)] * q.shape[1],
            constraints={"type": "eq", "fun": lambda b: b.sum() - 1, "jac": np.ones_like},
            options={"ftol": 1e-14, "maxiter": 1000},
        )
        assert -np.log(rows @ beta.numpy()).mean() <= slsqp.fun + 1e-6


def test_kliep_notes_iterations_gap_and_tolerance():
    source, target = shifted_pair()
    stopped = method("kliep", steps=1, gamma=0.4)
    stopped.weights(Labelled(source, torch.zeros(80).long()), target, Task(2, None, None))
    assert stopped.notes[0].startswith("KLIEP stopped after 1 iterations; the gap to the largest mean log likelihood is")
    assert stopped.notes[0].endswith("above the tolerance 1e-08.")


def test_leaving_pairs_out_in_closed_form_is_leaving_them_out():
    source, target = shifted_pair(30, 24)
    centers, ridges = target[:10], [0.01, 0.1, 1.0]
    phi = [gaussian.gram(x, centers, 0.3) for x in (source, target)]
    pairs = torch.stack([torch.randperm(30)[:20], torch.randperm(24)[:20]])
    actual = least_squares_ratio.leave_one_out_scores(phi[0], phi[1], ridges, pairs)
    for ridge, score in zip(ridges, actual, strict=True):
        losses = []
        for i, j in pairs.T.tolist():
            left = [phi[0][torch.arange(30) != i], phi[1][torch.arange(24) != j]]
            theta = least_squares_ratio.ratio_coefficients(*least_squares_ratio.moments(left[0], left[1], 0.0), ridge)
            losses.append((phi[0][i] @ theta) ** 2 / 2 - phi[1][j] @ theta)
        assert score == pytest.approx(float(torch.stack(losses).mean()), abs=1e-12)


def test_shrinkage_is_that_of_scikit_learn():
    source, _ = shifted_pair(40, 10, columns=6)
    cov, amount = ledoit_wolf(source.numpy())
    _, ours, shrinkage = density_estimates.shrunk_covariance(source, None)
    assert shrinkage == pytest.approx(amount) and np.allclose(ours.numpy(), cov)
