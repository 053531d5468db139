"""The divergence of two domains: label shift, A-distance, MMD and Fréchet distance."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from tlbench.data.divergence import Divergence, a_distance, frechet, joint_components, measure_divergence, mmd2
from tlbench.errors import TlbenchError
from tlbench.terms import Domain, Labelled


def domain(shift: float = 0.0, seed: int = 0, y: Any = None, shape: tuple[int, ...] = (5,)) -> Domain:
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(300, *shape, generator=generator) + shift
    return Domain(f"d{seed}", Labelled(x, torch.arange(300) % 3 if y is None else y), ("a", "b", "c"), "")


def test_samples_of_one_distribution_are_close_and_shifted_ones_are_not() -> None:
    near, far = measure_divergence([domain()], domain(seed=1)), measure_divergence([domain()], domain(shift=3.0, seed=1))
    assert near.a_distance is not None and near.mmd2 is not None and near.frechet is not None
    assert far.a_distance is not None and far.mmd2 is not None and far.frechet is not None
    assert near.label_shift == 0 and near.a_distance < 0.3 and abs(near.mmd2) < 0.01 and near.frechet < 0.2
    assert far.a_distance > 1.9 and far.mmd2 > 0.3 and far.frechet > 2


def test_label_shift_is_half_the_difference_of_the_shares() -> None:
    only = domain(y=torch.zeros(300, dtype=torch.int64))
    assert measure_divergence([domain(seed=1)], only).label_shift == pytest.approx(2 / 3)
    other = Domain("o", only.samples, ("z", "b", "c"), "")
    assert measure_divergence([only], other).label_shift == pytest.approx(1)


def test_rows_of_other_shapes_are_compared_in_their_labels_only() -> None:
    assert measure_divergence([domain()], domain(shape=(6,))) == Divergence(0.0)


def test_several_sources_are_taken_together() -> None:
    values = measure_divergence([domain(seed=1), domain(seed=2, shift=6.0)], domain(seed=3, shift=3.0))
    assert values.mmd2 is not None and values.mmd2 > 0.05


def test_the_frechet_distance_of_known_gaussians() -> None:
    draw = np.random.default_rng(0)
    a, b = draw.standard_normal((40_000, 2)), 2 * draw.standard_normal((40_000, 2)) + [3, 0]
    assert frechet(a, b) == pytest.approx(9 + 2, abs=0.2)  # |mean|^2 + sum (1 - 2)^2
    assert frechet(a, a) == pytest.approx(0, abs=1e-9)


def test_mmd_is_unbiased_on_samples_of_one_distribution() -> None:
    draw = np.random.default_rng(0)
    values = [mmd2(draw.standard_normal((40, 3)), draw.standard_normal((40, 3))) for _ in range(60)]
    assert abs(np.mean(values)) < 3 * np.std(values) / 60**0.5


def test_distances_refuse_or_bear_hardly_any_rows() -> None:
    with pytest.raises(TlbenchError, match="needs 5 samples on either side"):
        a_distance(np.zeros((3, 2)), np.zeros((9, 2)))
    a, b = joint_components(np.zeros((10, 3)), np.zeros((10, 3)))
    assert np.isfinite(a).all() and np.isfinite(b).all() and mmd2(a, b) == pytest.approx(0)
