"""The location-scale map by MMD."""

from __future__ import annotations

import pytest
import torch
from alignment_samples import mixed_samples

from tlbench import methods
from tlbench.solvers import location_scale
from tlbench.solvers.kernels import gaussian


def test_the_location_scale_map_stays_where_nothing_has_shifted_and_moves_where_it_has():
    x, y = mixed_samples(1, 60, 2), torch.nn.functional.one_hot(torch.arange(60) % 2).double()
    options = {"gamma": 0.2, "penalty": 1e-4, "iterations": 50, "landmarks": 1000}
    still = location_scale.fit_location_scale(x, x, y, **options)
    assert torch.allclose(still.samples, x, atol=1e-4) and still.initial_objective == pytest.approx(0, abs=1e-12)
    moved = location_scale.fit_location_scale(x, 1.5 * x + 2, y, **options)
    assert moved.final_objective < 0.02 * moved.initial_objective and torch.allclose(
        moved.samples.mean(0), 1.5 * x.mean(0) + 2, atol=0.3
    )


@pytest.mark.parametrize("kind", ["plain", "scaled", "offset", "large", "small", "near-constant"])
def test_the_map_at_its_defaults_is_at_a_stationary_point(kind):
    """The gradient of the objective as the docstring states it, in units in which an entry moves the samples by a width."""
    draw = torch.Generator().manual_seed(0)
    x, y = torch.randn(90, 4, generator=draw).double(), torch.arange(90) % 3
    x += 2 * torch.eye(3, 4)[y]
    scale = {"scaled": torch.logspace(-4, 4, 4).double(), "large": 1e4, "small": 1e-4}.get(kind, 1.0)
    if kind == "near-constant":
        scale = torch.tensor([1.0, 1.0, 1e-4, 0.0]).double()
    offset = 1e3 if kind in {"offset", "near-constant"} else 0.0
    x, target = (samples * scale + offset for samples in (x, 1.3 * x.flip(0)[:80] + 0.7))
    basis = torch.nn.functional.one_hot(y).double()
    iterations = methods.method_options("mmd_map", {})["iterations"]
    gamma = gaussian.median_gamma(torch.cat([x, target]))
    fitted = location_scale.fit_location_scale(
        x, target, basis, gamma=gamma, penalty=1e-3, iterations=iterations, landmarks=1000
    )
    assert fitted.remarks == ()
    mapped = fitted.samples
    slope = torch.zeros(2, 3, 4).double()
    for c in range(3):  # the map of a class is read off its samples, column by column
        design = torch.stack([x[y == c] - x.mean(dim=0), torch.ones(30, 4).double()])
        moved = mapped[y == c] - x[y == c]
        for d in range(4):
            if float(design[0, :, d].std()) < 1e-9 * (1 + abs(offset)):
                continue
            slope[:, c, d] = torch.linalg.lstsq(design[:, :, d].T, moved[:, d : d + 1]).solution[:, 0]
    slope.requires_grad_()
    g, shift = basis @ slope[0], basis @ slope[1]
    image = x + g * (x - x.mean(dim=0)) + shift
    assert torch.allclose(image, mapped, rtol=1e-9, atol=1e-6 * float(x.std()))
    location = shift - g * x.mean(dim=0)
    mmd = gaussian.gram(image, image, gamma).mean() - 2 * gaussian.gram(image, target, gamma).mean()
    (mmd + 1e-3 * (g.square().sum() + location.square().sum()) / 90).backward()
    unit = (2 * gamma) ** -0.5
    location_unit = (unit**-2 + 1e-3) ** -0.5
    assert float(slope.grad[1].abs().max()) * location_unit <= 1e-4 * fitted.initial_objective


def test_the_note_names_iterations_norm_and_tolerance():
    x, y = mixed_samples(1, 60, 2), torch.nn.functional.one_hot(torch.arange(60) % 2).double()
    stopped = location_scale.fit_location_scale(x, 1.5 * x + 2, y, gamma=0.2, penalty=1e-4, iterations=2, landmarks=1000)
    assert stopped.remarks[0].startswith("The location-scale map stopped after 2 iterations; the gradient norm is")
