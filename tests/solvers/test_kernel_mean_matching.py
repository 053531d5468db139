"""The quadratic program of kernel mean matching: at its default settings against SLSQP and its optimality conditions."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from reweighting_samples import mean_one, method, shifted_pair, weights
from scipy.optimize import minimize
from torch import Tensor

from tlbench.solvers.kernels import gaussian
from tlbench.solvers.reweighting import kernel_mean_matching
from tlbench.solvers.reweighting.quadratic_program import SemidefiniteMatrix, minimize_quadratic
from tlbench.terms import Labelled, Task

SCALES = (1e-4, 1.0, 1e4)


def objective(matrix: SemidefiniteMatrix, kappa: Tensor, w: Tensor) -> float:
    return float(0.5 * w @ matrix(w) - kappa @ w)


@pytest.mark.parametrize("bound", [1.2, 50.0])
@pytest.mark.parametrize("band", [(5.0, 12.0), (8.0, 8.0), (0.0, 1e4)])
def test_the_quadratic_program_is_solved(bound, band):
    """Against SLSQP, with weights of unequal cost."""
    source, target = shifted_pair(25, 20)
    matrix, kappa = kernel_mean_matching.kernel_and_mean(source, target, 0.4, None)
    cost = torch.linspace(0.5, 2.0, 25).double()
    ours, gap, _ = minimize_quadratic(matrix, kappa, cost, upper=bound, low=band[0], high=band[1])
    dense = gaussian.gram(source, source, 0.4).numpy()
    slsqp = minimize(
        lambda w: 0.5 * w @ dense @ w - kappa.numpy() @ w,
        np.full(25, 0.3),
        jac=lambda w: dense @ w - kappa.numpy(),
        bounds=[(0, bound)] * 25,
        constraints=[
            {"type": "ineq", "fun": lambda w: band[1] - cost.numpy() @ w, "jac": lambda w: -cost.numpy()},
            {"type": "ineq", "fun": lambda w: cost.numpy() @ w - band[0], "jac": lambda w: cost.numpy()},
        ],
        options={"ftol": 1e-15, "maxiter": 2000},
    )
    assert gap <= 1e-8 and objective(matrix, kappa, ours) == pytest.approx(slsqp.fun, rel=2e-6)
    assert band[0] * (1 - 1e-5) <= float(cost @ ours) <= band[1] * (1 + 1e-5)
    assert float(ours.min()) >= 0 and float(ours.max()) <= bound


@pytest.mark.parametrize("scale", SCALES)
@pytest.mark.parametrize("columns", [1, 3, 60])
def test_the_weights_at_their_defaults_meet_the_optimality_conditions(scale, columns):
    """The slope is 0 at weights inside, not negative at 0 and not positive at the bound, relative to its largest value."""
    source, target = (scale * x for x in shifted_pair(200, 150, columns))
    source[:, 0] += 100 * scale
    target[:, 0] += 100 * scale
    kmm = method("kmm")
    w = kmm.weights(Labelled(source, torch.zeros(200).long()), target, Task(2, None, None))
    assert kmm.notes == ()
    torch.manual_seed(0)
    gamma = gaussian.median_gamma(torch.cat([source, target]))
    matrix, kappa = kernel_mean_matching.kernel_and_mean(source, target, gamma, None)
    ones, limits = torch.ones(200).double(), {"upper": 1000.0, "low": 200 / 200**0.5, "high": 400 - 200 / 200**0.5}
    best, gap, _ = minimize_quadratic(matrix, kappa, ones, tolerance=1e-10, **limits)
    gain = objective(matrix, kappa, ones) - objective(matrix, kappa, best)
    assert gap <= 1e-10
    assert objective(matrix, kappa, w) - objective(matrix, kappa, best) <= 1e-6 * gain
    slope = matrix(best) - kappa  # the band does not bind
    assert float((slope * best).abs().max()) <= 1e-6 * gain and float(slope.min()) >= -1e-6 * float(kappa.max())


@pytest.mark.parametrize("bound", [1.0, 1.5, 1000.0])
@pytest.mark.parametrize("band", [0.0, 1e-3, 1.0])
def test_bounds_and_bands_that_leave_little_room(bound, band):
    source, target = shifted_pair()
    w = weights("kmm", source, target, bound=bound, band=band)
    assert float(w.min()) >= 0 and float(w.max()) <= bound and abs(float(w.mean()) - 1) <= band + 1e-5


@pytest.mark.parametrize("exact", [5000, 1])
def test_a_factor_is_as_good_as_the_matrix(exact):
    source, target = shifted_pair(300, 200)
    landmarks = None if exact == 5000 else 500
    matrix, kappa = kernel_mean_matching.kernel_and_mean(source, target, 0.4, landmarks)
    ones = torch.ones(300).double()
    w, gap, _ = minimize_quadratic(matrix, kappa, ones, upper=3.0, low=10.0, high=590.0)
    dense, exact_kappa = kernel_mean_matching.kernel_and_mean(source, target, 0.4, None)
    best, _, _ = minimize_quadratic(dense, exact_kappa, ones, upper=3.0, low=10.0, high=590.0)
    assert gap <= 1e-8
    assert objective(dense, exact_kappa, w) == pytest.approx(objective(dense, exact_kappa, best), rel=1e-8)


@pytest.mark.parametrize("name", ["kmm", "mmd_target_shift"])
def test_the_note_names_iterations_gap_and_tolerance(name, monkeypatch):
    source, target = shifted_pair()
    options = {"steps": 1} if name == "kmm" else {}
    if name == "mmd_target_shift":
        import tlbench.methods.reweighting.mmd_target_shift as module

        monkeypatch.setattr(module, "minimize_quadratic", lambda *a, **k: (*minimize_quadratic(*a, **k, steps=1)[:2], 1))
    stopped = method(name, **options)
    y = (source[:, 0] > 0).long()
    stopped.weights(Labelled(source, y), target, Task(2, None, None))
    assert len(stopped.notes) == 1 and "stopped after 1 iterations; the gap to the least objective is" in stopped.notes[0]
    assert "above the tolerance" in stopped.notes[0]


@pytest.mark.parametrize("scale", SCALES)
def test_target_shift_weights_at_their_defaults_are_those_of_slsqp(scale):
    draw = torch.Generator().manual_seed(0)
    y, y_target = torch.randint(0, 3, (90,), generator=draw), torch.tensor([0] * 10 + [1] * 40 + [2] * 50)
    centers = 3 * torch.eye(3).double()
    source, target = (scale * (centers[k] + torch.randn(len(k), 3, generator=draw)) for k in (y, y_target))
    gamma = 0.1 / scale**2
    actual = weights("mmd_target_shift", source, target, y, gamma=gamma)
    member = torch.nn.functional.one_hot(y).double()
    matrix, kappa = kernel_mean_matching.kernel_and_mean(source, target, gamma, None)
    assert matrix.dense is not None
    inner, mean, counts = (member.T @ matrix.dense @ member).numpy(), (member.T @ kappa).numpy(), member.sum(dim=0).numpy()
    band = min(10 / (4 * 90**0.5), 1.0)
    slsqp = minimize(
        lambda w: (0.5 * w @ inner @ w - mean @ w) / 1e3,
        np.ones(3),
        jac=lambda w: (inner @ w - mean) / 1e3,
        bounds=[(0, 10)] * 3,
        constraints=[
            {"type": "ineq", "fun": lambda w: 90 * (1 + band) - counts @ w, "jac": lambda w: -counts},
            {"type": "ineq", "fun": lambda w: counts @ w - 90 * (1 - band), "jac": lambda w: counts},
        ],
        options={"ftol": 1e-16, "maxiter": 1000},
    )
    assert np.allclose([float(actual[y == c][0]) for c in range(3)], slsqp.x, atol=2e-4)


@pytest.mark.data
def test_the_weights_of_amazon_for_webcam(data_root):
    """SURF words, z-scored as in the suite: the deviation of the weights at the optimum is 0.470."""
    import tlbench
    from tlbench import data

    if not (data_root / "office_caltech10" / "surf" / "amazon_SURF_L10.mat").is_file():
        pytest.skip(f"no office_caltech10/surf/amazon_SURF_L10.mat in {data_root}")
    suite = tlbench.load_suite("office_caltech10_surf")
    amazon, webcam = (data.load(suite.domains[name], data_root, None).samples.x.flatten(1) for name in ("amazon", "webcam"))
    w = mean_one(weights("kmm", amazon, webcam, torch.zeros(len(amazon)).long()))
    assert round(float(w.std()), 3) == 0.470
