"""Preparations of samples."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import sparse
from small_files import X

from tlbench.data import preparation
from tlbench.data.decoding import arrays
from tlbench.errors import TlbenchError


def test_signed_log_is_odd_and_reads_no_other_sample():
    x = np.array([[-3.0, 0.0], [3.0, 1e5]])
    np.testing.assert_allclose(preparation.signed_log(x, x), [[-np.log(4), 0], [np.log(4), np.log(1e5 + 1)]], rtol=1e-6)
    np.testing.assert_array_equal(preparation.signed_log(x[:1], x), preparation.signed_log(x, x)[:1])


@pytest.mark.parametrize("kind", ["row_sum", "l2", "log1p", "zscore", "scale"])
def test_sparse_samples_are_prepared_as_dense_ones(kind: str) -> None:
    x = np.where(X % 3 == 0, X, 0)
    x[2] = 0
    function = preparation.registry.function(kind)
    from_sparse = function(sparse.csr_array(x), sparse.csr_array(x))
    np.testing.assert_allclose(arrays.dense(from_sparse), function(x, x))
    assert np.isfinite(function(x, x)).all()


def test_preparations_of_vectors() -> None:
    np.testing.assert_allclose(preparation.row_sum(X, X).sum(1), 1)
    np.testing.assert_allclose(np.linalg.norm(preparation.l2(X, X), axis=1), 1)
    z = preparation.zscore(X, X, ddof=1)
    np.testing.assert_allclose(z.std(0, ddof=1), 1)
    constant = np.full((3, 2), 0.1)
    assert (preparation.zscore(constant, constant) == 0).all()
    with pytest.raises(TlbenchError, match="log1p needs values above -1, and the smallest is -2"):
        preparation.log1p(X - 2, X)


def test_image_preparations() -> None:
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (3, 3, 16, 16), dtype=np.uint8)
    small = preparation.resize(images, images, size=8)
    assert small.shape == (3, 3, 8, 8) and small.dtype == np.uint8
    one = preparation.grey(images, images)
    assert one.shape == (3, 1, 16, 16) and one.dtype == np.uint8
    same = np.repeat(images[:, :1], 3, axis=1)
    assert (preparation.grey(same, same) == same[:, :1]).all()
    unit = preparation.scale(images, images)
    assert unit.dtype == np.float32 and (preparation.to_uint8(unit, unit) == images).all()
    with pytest.raises(TlbenchError, match="Put a scale before it"):
        preparation.to_uint8(unit * 2, unit)
    with pytest.raises(TlbenchError, match="images of 3 channels"):
        preparation.grey(images[:, :2], images)
    framed = preparation.pad(images, images, pixels=2)
    assert framed.shape == (3, 3, 20, 20) and framed.dtype == np.uint8 and framed.sum() == images.sum()
    assert (framed[:, :, 2:-2, 2:-2] == images).all()
    for name in ("resize", "grey", "pad", "to_uint8"):
        with pytest.raises(TlbenchError, match="give their shape"):
            preparation.registry.function(name)(X, X)
