"""Density ratios by least squares, by maximum likelihood and by one density for each domain."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from golden_arrays import GoldenArrays
from reweighting_samples import shifted_pair
from sklearn.covariance import ledoit_wolf

from tlbench.solvers.kernels import gaussian
from tlbench.solvers.reweighting import (
    density_estimates,
    kliep,
    least_squares_ratio,
)

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
    beta, gap = kliep.mixture_weights(columns, tolerance=1e-8, steps=100_000)
    assert active.all() and gap <= 1e-8 and (columns.T @ (1 / (columns @ beta)) / len(target) <= 1 + 1e-8).all()
    ours = gaussian.gram(source, centers, gamma) @ (beta / mean)
    assert float(ours.mean()) == pytest.approx(1.0, abs=1e-12)
    assert torch.allclose(ours, theirs("kliep").flatten(), atol=0.05)
    # their weights are on source samples only: their objective is read off the alpha that gives those weights
    alpha = torch.linalg.lstsq(gaussian.gram(source, centers, gamma), theirs("kliep").reshape(-1, 1)).solution[:, 0]
    their_objective = (gaussian.gram(target, centers, gamma) @ alpha).clamp_min(1e-300).log().mean()
    gain = float((columns @ beta).log().mean() - their_objective)
    assert -1e-8 < gain < 1e-4


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
