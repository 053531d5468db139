"""The quadratic program of kernel mean matching, and its projection."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from reweighting_samples import shifted_pair
from scipy.optimize import minimize

from tlbench.solvers.kernels import gaussian
from tlbench.solvers.reweighting import kernel_mean_matching


@pytest.mark.parametrize("bound", [1.2, 50.0])
def test_the_quadratic_program_is_solved(bound):
    """Against SLSQP, with a band that bites and weights of unequal cost."""
    source, target = shifted_pair(25, 20)
    apply, kappa = kernel_mean_matching.kernel_and_mean(source, target, 0.4, None)
    cost = torch.linspace(0.5, 2.0, 25).double()
    limits = {"upper": bound, "low": 5.0, "high": 12.0}
    ours, gap = kernel_mean_matching.minimize_quadratic(apply, kappa, cost, tolerance=1e-12, steps=100_000, **limits)
    matrix = gaussian.gram(source, source, 0.4).numpy()
    slsqp = minimize(
        lambda w: 0.5 * w @ matrix @ w - kappa.numpy() @ w,
        np.full(25, 0.3),
        jac=lambda w: matrix @ w - kappa.numpy(),
        bounds=[(0, bound)] * 25,
        constraints=[
            {"type": "ineq", "fun": lambda w: 12 - cost.numpy() @ w, "jac": lambda w: -cost.numpy()},
            {"type": "ineq", "fun": lambda w: cost.numpy() @ w - 5, "jac": lambda w: cost.numpy()},
        ],
        options={"ftol": 1e-15, "maxiter": 2000},
    )
    value = float(0.5 * ours @ apply(ours) - kappa @ ours)
    assert gap <= 1e-12 and value <= slsqp.fun + 1e-9 and value == pytest.approx(slsqp.fun, abs=1e-5)
    assert float(cost @ ours) <= 12 + 1e-9 and float(ours.min()) >= 0 and float(ours.max()) <= bound + 1e-12


def test_a_projection_is_the_nearest_point():
    draw = torch.Generator().manual_seed(3)
    for low, high in ((4.0, 5.0), (0.0, 1.0), (9.0, 9.0)):
        v, cost = 3 * torch.randn(12, generator=draw).double(), 0.5 + torch.rand(12, generator=draw).double()
        ours = kernel_mean_matching.project_to_box_and_band(v, cost, 1.5, low, high)
        assert low - 1e-9 <= float(cost @ ours) <= high + 1e-9 and float(ours.min()) >= 0 and float(ours.max()) <= 1.5
        # the nearest point of a convex set: no corner lies beyond it
        for slope in torch.randn(20, 12, generator=draw).double():
            corner = kernel_mean_matching.linear_minimizer(slope, cost, 1.5, low, high)
            assert float((v - ours) @ (corner - ours)) <= 1e-8
            assert float(slope @ corner) <= float(slope @ ours) + 1e-9
