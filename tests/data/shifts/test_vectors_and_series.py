"""Shifts of vectors and of time series."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from shifted_samples import (
    SERIES,
    VECTORS,
    apply,
    quick,
    seeds,
)

from tlbench.errors import TlbenchError


@given(share=st.floats(0, 1), seed=seeds)
@quick
def test_missing_values_become_the_mean_of_the_remaining_ones(share: float, seed: int) -> None:
    after, _ = apply("missing", VECTORS, np.zeros(60, np.int64), seed, share=share)
    lost = after != VECTORS
    assert lost.mean() == pytest.approx(share, abs=0.2)
    for column in range(4):
        left = VECTORS[~lost[:, column], column]
        expected = left.mean() if len(left) else VECTORS[:, column].mean()
        np.testing.assert_allclose(after[lost[:, column], column], expected)


@given(degrees=st.floats(-360, 360), more=st.floats(-360, 360), seed=seeds)
@quick
def test_subspace_shift_rotates_without_stretching(degrees: float, more: float, seed: int) -> None:
    """Distances of samples of unit deviation, on features that are uncorrelated."""
    x = np.linalg.qr(np.random.default_rng(2).normal(size=(60, 4)))[0]
    x = (x - x.mean(axis=0)) @ np.linalg.inv(np.linalg.cholesky(np.cov(x.T, ddof=0))).T
    y = np.zeros(60, np.int64)
    once, _ = apply("subspace_shift", 3 + 2 * x, y, seed, degrees=degrees)
    np.testing.assert_allclose(once.mean(axis=0), 3, atol=1e-9)
    z = (once - 3) / 2
    np.testing.assert_allclose(z @ z.T, x @ x.T, atol=1e-8)
    np.testing.assert_allclose((z * x).sum(axis=1), np.cos(np.radians(degrees)) * (x * x).sum(axis=1), atol=1e-8)
    twice, _ = apply("subspace_shift", once, y, seed, degrees=more)
    np.testing.assert_allclose(twice, apply("subspace_shift", 3 + 2 * x, y, seed, degrees=degrees + more)[0], atol=1e-7)


def test_subspace_shift_leaves_constants_and_counts_its_planes() -> None:
    x = np.concatenate([VECTORS, np.full((60, 2), 7.0)], axis=1)
    after, _ = apply("subspace_shift", x, None, degrees=50.0)
    assert (after[:, 4:] == 7).all() and np.linalg.matrix_rank(after - x, tol=1e-8) == 4
    one, _ = apply("subspace_shift", x, None, degrees=50.0, planes=1)
    z = (one - x)[:, :4] / x[:, :4].std(axis=0)
    assert np.linalg.matrix_rank(z, tol=1e-8) == 2
    for wide, planes in ((x, 3), (x[:, :1], None)):
        with pytest.raises(TlbenchError, match="features that vary"):
            apply("subspace_shift", wide, None, degrees=50.0, planes=planes)


@given(degrees=st.floats(-360, 360), seed=seeds)
@quick
def test_sensor_rotation_keeps_the_length_of_every_sample(degrees: float, seed: int) -> None:
    turned, _ = apply("sensor_rotation", SERIES, None, seed, degrees=degrees)
    lengths = [np.linalg.norm(x.reshape(20, 2, 3, 32), axis=2) for x in (turned, SERIES)]
    np.testing.assert_allclose(*lengths, atol=1e-12)
    np.testing.assert_allclose(apply("sensor_rotation", turned, None, seed, degrees=-degrees)[0], SERIES, atol=1e-12)


def test_sensor_rotation_needs_three_axes() -> None:
    with pytest.raises(TlbenchError, match="a multiple of three channels"):
        apply("sensor_rotation", SERIES[:, :4], None, degrees=3.0)


def test_rate_change_plays_faster_about_the_middle() -> None:
    time = np.arange(101.0)
    x = np.stack([time, np.sin(time / 5)])[None]
    fast, _ = apply("rate_change", x, None, factor=2.0)
    assert fast[0, 0, 50] == 50 and fast[0, 0, 60] == 70
    assert fast[0, 0, 0] == 50 and fast[0, 0, 100] == 50  # mirrored at the ends
    slow, _ = apply("rate_change", x, None, factor=0.5)
    assert slow[0, 0, 0] == 25 and slow[0, 0, 100] == 75 and slow[0, 0, 51] == 50.5
    for factor in (0.3, 1.7, 9.0):
        after, _ = apply("rate_change", SERIES, None, factor=factor)
        assert after.min() >= SERIES.min() and after.max() <= SERIES.max()
    assert np.array_equal(apply("rate_change", SERIES[:, :, :1], None, factor=3.0)[0], SERIES[:, :, :1])


def test_drift_begins_at_zero_and_ends_with_its_deviation() -> None:
    x = np.random.default_rng(3).normal(size=(3000, 2, 9)) * np.array([1.0, 5.0])[:, None]
    moved, _ = apply("drift", x, None, sigma=0.5)
    added = moved - x
    assert (added[:, :, 0] == 0).all()
    np.testing.assert_allclose(added[:, :, 4] * 2, added[:, :, 8], atol=1e-9)
    np.testing.assert_allclose(added[:, :, 8].std(axis=0), [0.5, 2.5], rtol=0.06)
