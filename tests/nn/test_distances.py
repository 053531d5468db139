"""Distances between batches of features."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from tlbench.nn import distances


def two_batches() -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    a = torch.randn(40, 6, generator=generator, dtype=torch.float64)
    b = torch.randn(50, 6, generator=generator, dtype=torch.float64) @ torch.randn(6, 6, generator=generator).double()
    return a, b


def test_the_coral_distance_ignores_translation_and_is_symmetric_and_of_degree_four():
    a, b = two_batches()
    distance = distances.coral(a, b)
    assert distance > 0
    assert torch.allclose(distances.coral(a + 5, b - 3), distance)
    assert torch.allclose(distances.coral(b, a), distance)
    assert torch.allclose(distances.coral(3 * a, 3 * b), 3**4 * distance)
    assert distances.coral(a, a.flip(0)) < 1e-20
    expected = (np.cov(a.T) - np.cov(b.T)) ** 2
    assert float(distance) == pytest.approx(expected.sum() / (4 * 6 * 6))


def test_a_power_of_a_matrix_is_its_power():
    _, b = two_batches()
    cov = distances.covariance(b) + torch.eye(6)
    root = distances.power(cov, 0.5)
    assert torch.allclose(root @ root, cov)
    assert torch.allclose(distances.power(cov, -0.5) @ root, torch.eye(6).double(), atol=1e-9)
    assert torch.allclose(distances.power(cov, 1.0), cov)


@pytest.mark.parametrize("offset", [0.0, 1.0, 1000.0, 1e5])
def test_the_mmd_does_not_change_with_an_offset_of_all_features(offset):
    """In float32 with an offset of 1000 it was 0.376 for 0.683."""
    a, b = two_batches()
    x, y = ((features + offset).float() for features in (a, b))  # rounded where it is far from 0, in either precision
    expected = float(distances.mmd(x.double() - offset, y.double() - offset))
    assert float(distances.mmd(x, y)) == pytest.approx(expected, rel=1e-5)
    x.requires_grad_()
    distances.mmd(x, y).backward()
    reference = (x.detach().double() - offset).requires_grad_()
    distances.mmd(reference, y.double() - offset).backward()
    assert torch.allclose(x.grad.double(), reference.grad, rtol=1e-3, atol=1e-4 * float(reference.grad.abs().max()))


def test_the_mmd_is_the_v_statistic():
    a, b = two_batches()
    pooled = torch.cat([a, b])
    squared = torch.cdist(pooled, pooled).square()
    base = squared.sum() / (90 * 89)
    kernel = sum((-squared / (base * 2.0 ** (j - 2))).exp() for j in range(5))
    expected = kernel[:40, :40].mean() + kernel[40:, 40:].mean() - 2 * kernel[:40, 40:].mean()
    assert float(distances.mmd(a, b)) == pytest.approx(float(expected), rel=1e-9)
