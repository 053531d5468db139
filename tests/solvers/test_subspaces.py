"""Subspaces, CORAL and the linear Monge map: dense algebra, properties, and other packages."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.integrate
import scipy.linalg
import scipy.optimize
import torch
from alignment_samples import mixed_samples
from golden_arrays import GoldenArrays

from tlbench.solvers import subspaces
from tlbench.solvers.kernels import gaussian

theirs = GoldenArrays("alignment")


def test_the_flow_kernel_is_the_integral_over_the_geodesic():
    """Closed form against Simpson's rule on the geodesic through a null space, to 1e-9."""
    source, target = (torch.linalg.qr(mixed_samples(seed, 12, 4).double())[0][:, :3] for seed in (1, 2))
    null = torch.linalg.svd(source)[0][:, 3:]
    left, cosine, right = np.linalg.svd((source.T @ target).numpy())
    angle = np.arccos(np.clip(cosine, -1, 1))
    beside = -(null @ null.T @ target).numpy() @ right.T / np.sin(angle)
    ts = np.linspace(0, 1, 2001)
    phis = [source.numpy() @ left * np.cos(t * angle) - beside * np.sin(t * angle) for t in ts]
    assert np.allclose(phis[-1] @ phis[-1].T, target @ target.T)  # it ends in the target's subspace
    integral = scipy.integrate.simpson([p @ p.T for p in phis], x=ts, axis=0)
    root = subspaces.geodesic_flow_root(source, target)
    assert np.allclose(root @ root.T, integral, atol=1e-9)
    swapped = subspaces.geodesic_flow_root(target, source)
    assert torch.allclose(root @ root.T, swapped @ swapped.T, atol=1e-12)
    same = subspaces.geodesic_flow_root(source, source)
    assert torch.allclose(same @ same.T, source @ source.T, atol=1e-7)


def test_principal_directions_of_wide_samples_are_those_of_tall_ones():
    wide = mixed_samples(1, 5, 9)
    values, basis = subspaces.covariance_spectrum(wide)
    assert basis.shape == (9, 4)  # five centred samples have rank four
    assert torch.allclose((basis * values) @ basis.T, torch.cov(wide.T), atol=1e-10)


def test_powers_of_a_covariance_through_its_span():
    x, y = mixed_samples(1, 5, 9), mixed_samples(2, 7, 9)
    dense = torch.linalg.eigh(torch.cov(x.T) + 0.5 * torch.eye(9, dtype=torch.float64))
    expected = y @ (dense[1] * dense[0] ** -0.5) @ dense[1].T
    assert torch.allclose(subspaces.multiply_by_power(y, *subspaces.covariance_spectrum(x), 0.5, -0.5), expected, atol=1e-10)


def test_coral_gives_the_target_covariance_and_changes_nothing_where_they_are_equal():
    x, y = mixed_samples(1, 80), mixed_samples(2, 70)
    assert torch.allclose(torch.cov(subspaces.coral(x, y, 1e-10).T), torch.cov(y.T), atol=1e-6)
    assert torch.allclose(subspaces.coral(x, x + 3, 1.0), x, atol=1e-10)


def test_monge_maps_moments_translates_and_undoes_itself():
    x, y = mixed_samples(1, 80), mixed_samples(2, 70) + 2
    moved = subspaces.linear_monge_map(x, y, 1e-12)
    assert torch.allclose(moved.mean(0), y.mean(0)) and torch.allclose(
        torch.cov(moved.T) * 79 / 80, torch.cov(y.T) * 69 / 70, atol=1e-6
    )
    assert torch.allclose(subspaces.linear_monge_map(x, x + 3, 1e-12), x + 3, atol=1e-6)
    centred = subspaces.coral(x - x.mean(0), y, 1e-12) + y.mean(0)
    assert (moved - x).square().sum() <= (centred - x).square().sum() + 1e-6
    wide_x, wide_y = mixed_samples(1, 5, 20), mixed_samples(2, 6, 20)
    assert torch.isfinite(subspaces.linear_monge_map(wide_x, wide_y, 1e-8)).all()


def test_float32_algebra_stays_near():
    """Principal directions, CORAL and a Gaussian kernel in float32: to 1e-3 of those in float64."""
    x, y = mixed_samples(1, 80), mixed_samples(2, 70)
    assert torch.allclose(subspaces.coral(x.float(), y.float(), 1.0).double(), subspaces.coral(x, y, 1.0), rtol=1e-3, atol=1e-3)
    gamma = gaussian.median_gamma(x)
    assert torch.allclose(gaussian.gram(x.float(), y.float(), gamma).double(), gaussian.gram(x, y, gamma), atol=1e-4)


def test_coral_is_that_of_adapt_and_of_skada():
    """skada divides by N and moves both domains to mean 0."""
    x, y = theirs("source"), theirs("target")
    assert torch.allclose(subspaces.coral(x, y, 1.0), theirs("coral"), atol=1e-10)
    by_n = (39 / 40) ** 0.5 / (49 / 50) ** 0.5
    assert torch.allclose(by_n * subspaces.coral(x - x.mean(0), y, 1e-12), theirs("skada_coral"), atol=1e-6)


@pytest.mark.parametrize("peer", ["adapt", "skada"])
def test_subspace_alignment_is_that_of(peer):
    """Up to one sign for each column."""
    x, y = theirs("source"), theirs("target")
    adapted = torch.cat([theirs("aligned_source"), theirs("aligned_target")])
    peers = {"adapt": adapted, "skada": theirs("skada_aligned")}[peer]
    bases = [subspaces.principal_directions(samples, 3) for samples in (x, y)]
    ours = torch.cat([(x - x.mean(0)) @ bases[0] @ (bases[0].T @ bases[1]), (y - y.mean(0)) @ bases[1]])
    assert torch.allclose(ours * (ours * peers).sum(dim=0).sign(), peers, atol=1e-10)


def test_the_monge_map_is_that_of_skada():
    """Its ridge of 1e-8 is added as it is, ours in units of the mean variance."""
    x, y = theirs("source"), theirs("target")
    variance = float(torch.cat([x - x.mean(0), (y - y.mean(0)) * (50 / 40) ** 0.5]).square().sum() / (2 * 50 * 6))
    assert torch.allclose(subspaces.linear_monge_map(x, y, 1e-8 / variance), theirs("monge"), atol=1e-9)


def test_the_monge_map_is_that_of_pot():
    ot = pytest.importorskip("ot", reason="POT is not installed (extra `ot`)")
    x, y = mixed_samples(1, 80), mixed_samples(2, 70) + 1
    peer = ot.da.LinearTransport(reg=1e-8).fit(Xs=x.numpy(), Xt=y.numpy()).transform(Xs=x.numpy())
    assert np.allclose(subspaces.linear_monge_map(x, y, 1e-10), peer, atol=1e-6)
