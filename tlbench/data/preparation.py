"""Declared preparations: what is done to a domain's rows before they become tensors.

A preparation is a function `(x, main, *, options) -> x`: x the rows to change, main the rows of the domain's main part,
which statistics come from (so that test rows are prepared as the main ones). Adding a function adds a preparation.

All of them pass over the rows some at a time: rows that memory does not hold are prepared on disk. Sparse rows are held whole.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any

import numpy as np
from pydantic import Field

from tlbench.data.decoding import mapped_arrays
from tlbench.data.decoding.arrays import Array, dense, is_sparse
from tlbench.data.function_registry import FunctionRegistry
from tlbench.errors import TlbenchError

registry = FunctionRegistry(__name__, ("x", "main"))
names = registry.names
summaries = registry.summaries


def row_sum(x: Any, main: Any) -> Any:
    """Divide each row by its sum; a row that sums to 0 stays as it is."""
    return _divided(x, x.sum(axis=1) if is_sparse(x) else _by_row(x, lambda part: part.sum(axis=1, dtype=np.float64)))


def l2(x: Any, main: Any) -> Any:
    """Give each row the Euclidean length 1; a row of zeros stays one."""

    def squared(part: Array) -> Array:
        return np.asarray(np.square(part, dtype=np.float64).sum(axis=1))

    return _divided(x, np.sqrt(x.multiply(x).sum(axis=1) if is_sparse(x) else _by_row(x, squared)))


def zscore(x: Any, main: Any, *, ddof: Annotated[int, Field(ge=0, le=1)] = 0) -> Array:
    """Centre each feature and divide it by its standard deviation over the main rows; a constant feature becomes 0."""
    same = x is main
    x = dense(x)
    main = x if same else dense(main)
    mean, std = _mean_and_std(main, ddof)
    constant = std == 0
    if x.nbytes <= mapped_arrays.MAPPED_BYTES:
        return np.asarray(np.where(constant, 0.0, (x - mean) / np.where(constant, 1.0, std)))
    scale = np.where(constant, 1.0, std)
    return mapped_arrays.map_chunks(x, lambda part: np.where(constant, 0.0, (part - mean) / scale).astype(np.float32))


def log1p(x: Any, main: Any) -> Any:
    """Take log(1 + x) of each feature, for counts; values of -1 and below are refused."""
    low = x.min() if is_sparse(x) else _range(x)[0]
    if low <= -1:
        raise TlbenchError(f"prepare log1p needs values above -1; the smallest is {low:g}")
    return x.log1p() if is_sparse(x) else mapped_arrays.map_chunks(x, lambda part: np.log1p(_floats(part)))


def scale(x: Any, main: Any, *, divide: Annotated[float, Field(gt=0, allow_inf_nan=False)] = 255.0) -> Any:
    """Divide by a constant (255 takes bytes to [0, 1])."""
    return _floats(x) / divide if is_sparse(x) else mapped_arrays.map_chunks(x, lambda part: _floats(part) / divide)


def to_uint8(x: Any, main: Any) -> Array:
    """Turn images in [0, 1] into bytes, so that they are kept small and scaled like other images."""
    images = _images(x, "to_uint8")
    if images.dtype == np.uint8:
        return images
    low, high = _range(images)
    if low < 0 or high > 1:
        raise TlbenchError(f"prepare to_uint8 needs values in [0, 1], these lie in [{low:g}, {high:g}]; put a scale before it")
    return mapped_arrays.map_chunks(images, lambda part: np.rint(part * 255).astype(np.uint8))


def resize(x: Any, main: Any, *, size: Annotated[int, Field(gt=0, le=4096)] = 28) -> Array:
    """Resize images to size x size pixels (bilinear, antialiased); bytes stay bytes."""
    images = _images(x, "resize")
    if images.shape[2:] == (size, size):
        return images
    import torch
    from torchvision.transforms.v2 import functional

    def resized(part: Array) -> Array:
        return np.asarray(functional.resize(torch.from_numpy(np.array(part)), [size, size], antialias=True).numpy())

    return mapped_arrays.map_chunks(images, resized)


def grey(x: Any, main: Any) -> Array:
    """Turn colour images into grey ones by luminance (ITU-R 601); grey ones stay as they are."""
    images = _images(x, "grey")
    if images.shape[1] == 1:
        return images
    if images.shape[1] != 3:
        raise TlbenchError(f"prepare grey takes images of 3 channels (or 1), these have {images.shape[1]}")
    weights = np.array([0.299, 0.587, 0.114], dtype=np.float32)

    def greyed(part: Array) -> Array:
        one = np.einsum("nchw,c->nhw", part, weights)[:, None]
        return np.asarray(np.rint(one) if part.dtype == np.uint8 else one, dtype=part.dtype)

    return mapped_arrays.map_chunks(images, greyed)


def _images(x: Any, kind: str) -> Array:
    if x.ndim != 4:
        raise TlbenchError(
            f"prepare {kind} is for images (N, channels, height, width); rows are {tuple(x.shape[1:])}: "
            "give their shape, as in shape = [1, 16, 16]"
        )
    return dense(x)


def _range(x: Array) -> tuple[float, float]:
    ends = [(float(x[part].min()), float(x[part].max())) for part in mapped_arrays.chunks(x)]
    return min(low for low, _ in ends), max(high for _, high in ends)


def _flat(x: Array) -> Array:
    return x.reshape(len(x), -1)


def _by_row(x: Array, number: Callable[[Array], Array]) -> Array:
    """One number of each row (N,)."""
    return np.concatenate([number(_flat(x[part])) for part in mapped_arrays.chunks(x)])


def _floats(x: Any) -> Any:
    """Vectors in double precision unless they are floats already; images in single precision, for their size."""
    if x.dtype.kind == "f":
        return x
    return x.astype(np.float32 if x.ndim == 4 else np.float64)


def _mean_and_std(x: Array, ddof: int) -> tuple[Array, Array]:
    """Mean and standard deviation of each feature; exactly 0 for a constant one (rounding of the mean would leave a trace).

    Of rows that memory does not hold the squares about the mean are summed in a second pass.
    """
    if len(x) <= ddof:
        raise TlbenchError(f"prepare zscore with ddof = {ddof} needs more than {ddof} rows")
    if x.nbytes <= mapped_arrays.MAPPED_BYTES:
        mean, std = x.mean(axis=0, dtype=np.float64), x.std(axis=0, dtype=np.float64, ddof=ddof)
        return mean, np.where((x == x[0]).all(axis=0), 0.0, std)
    first = x[0].copy()
    total, squares, varies = np.zeros(x.shape[1:]), np.zeros(x.shape[1:]), np.zeros(x.shape[1:], dtype=bool)
    for part in mapped_arrays.chunks(x):
        total += x[part].sum(axis=0, dtype=np.float64)
        varies |= (x[part] != first).any(axis=0)
    mean = total / len(x)
    for part in mapped_arrays.chunks(x):
        squares += np.square(x[part] - mean).sum(axis=0)
    return mean, np.where(varies, np.sqrt(squares / (len(x) - ddof)), 0.0)


def _divided(x: Any, by_N: Any) -> Any:
    """Rows divided by one number each, where it is not 0."""
    by_N = np.asarray(by_N, dtype=np.float64).reshape(-1)
    by_N = np.where(by_N == 0, 1.0, by_N)
    if is_sparse(x):
        from scipy import sparse

        return (sparse.diags_array(1 / by_N) @ x).tocsr()
    if x.nbytes <= mapped_arrays.MAPPED_BYTES:
        return x / by_N.reshape(-1, *[1] * (x.ndim - 1))
    out = mapped_arrays.empty(x.shape, np.float32)
    for part in mapped_arrays.chunks(x):
        out[part] = x[part] / by_N[part].reshape(-1, *[1] * (x.ndim - 1))
        mapped_arrays.release(out)
    return out
