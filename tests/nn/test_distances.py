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
