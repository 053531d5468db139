"""Declared preparations: transformations of a domain's samples before they become tensors.

A preparation is a function `(x, main, *, options) -> x`: x are the samples (N, ...) to transform and main the domain's main
samples (M, ...), which all statistics come from, so that test samples are transformed as the main ones are. Adding a function
adds a preparation.

Dense samples are processed in chunks, on disk where they are large; sparse samples stay in memory.
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
    """Divide each sample by the sum of its features; a sample that sums to 0 stays as it is."""
    return _divided(x, x.sum(axis=1) if is_sparse(x) else _per_sample(x, lambda chunk: chunk.sum(axis=1, dtype=np.float64)))


def l2(x: Any, main: Any) -> Any:
    """Scale each sample to the Euclidean norm 1; a sample of zeros stays as it is."""

    def squared_norm(chunk: Array) -> Array:
        return np.asarray(np.square(chunk, dtype=np.float64).sum(axis=1))

    return _divided(x, np.sqrt(x.multiply(x).sum(axis=1) if is_sparse(x) else _per_sample(x, squared_norm)))


def zscore(x: Any, main: Any, *, ddof: Annotated[int, Field(ge=0, le=1)] = 0) -> Array:
    """Centre each feature and divide it by its standard deviation over the main samples; a constant feature becomes 0."""
    is_main = x is main
    x = dense(x)
    main = x if is_main else dense(main)
    mean, std = _mean_and_std(main, ddof)
    constant = std == 0
    if x.nbytes <= mapped_arrays.MAPPED_BYTES:
        return np.asarray(np.where(constant, 0.0, (x - mean) / np.where(constant, 1.0, std)))
    scale = np.where(constant, 1.0, std)
    return mapped_arrays.map_chunks(x, lambda chunk: np.where(constant, 0.0, (chunk - mean) / scale).astype(np.float32))


def log1p(x: Any, main: Any) -> Any:
    """Take log(1 + x) of each feature, for counts; values of -1 and below are refused."""
    low = x.min() if is_sparse(x) else _range(x)[0]
    if low <= -1:
        raise TlbenchError(
            f"prepare log1p needs values above -1, and the smallest is {low:g}. Leave log1p out, or shift the values."
        )
    return x.log1p() if is_sparse(x) else mapped_arrays.map_chunks(x, lambda chunk: np.log1p(_as_floats(chunk)))


def signed_log(x: Any, main: Any) -> Array:
    """Take log(1 + |x|) of each feature, with the sign of x: it narrows wide features, and reads no other sample."""
    return mapped_arrays.map_chunks(dense(x), lambda chunk: np.sign(_as_floats(chunk)) * np.log1p(np.abs(_as_floats(chunk))))


def scale(x: Any, main: Any, *, divide: Annotated[float, Field(gt=0, allow_inf_nan=False)] = 255.0) -> Any:
    """Divide by a constant (255 takes bytes to [0, 1])."""
    return _as_floats(x) / divide if is_sparse(x) else mapped_arrays.map_chunks(x, lambda chunk: _as_floats(chunk) / divide)


def to_uint8(x: Any, main: Any) -> Array:
    """Convert images in [0, 1] to bytes: they take less memory and are scaled as other byte images are."""
    images = _images(x, "to_uint8")
    if images.dtype == np.uint8:
        return images
    low, high = _range(images)
    if low < 0 or high > 1:
        raise TlbenchError(
            f"prepare to_uint8 needs values in [0, 1], and these lie in [{low:g}, {high:g}]. Put a scale before it."
        )
    return mapped_arrays.map_chunks(images, lambda chunk: np.rint(chunk * 255).astype(np.uint8))


def resize(x: Any, main: Any, *, size: Annotated[int, Field(gt=0, le=4096)] = 28) -> Array:
    """Resize images to size x size pixels (bilinear, antialiased); bytes stay bytes."""
    images = _images(x, "resize")
    if images.shape[2:] == (size, size):
        return images
    import torch
    from torchvision.transforms.v2 import functional

    def resize_chunk(chunk: Array) -> Array:
        return np.asarray(functional.resize(torch.from_numpy(np.array(chunk)), [size, size], antialias=True).numpy())

    return mapped_arrays.map_chunks(images, resize_chunk)


def pad(x: Any, main: Any, *, pixels: Annotated[int, Field(gt=0, le=4096)] = 4) -> Array:
    """Add a margin of zeros to each side of images, such as the one that MNIST's digits have in their frame."""
    images = _images(x, "pad")
    return mapped_arrays.map_chunks(images, lambda chunk: np.pad(chunk, ((0, 0), (0, 0), (pixels, pixels), (pixels, pixels))))


def grey(x: Any, main: Any) -> Array:
    """Convert colour images to greyscale by luminance (ITU-R BT.601); greyscale images stay as they are."""
    images = _images(x, "grey")
    if images.shape[1] == 1:
        return images
    if images.shape[1] != 3:
        raise TlbenchError(f"prepare grey takes images of 3 channels (or 1), and these have {images.shape[1]}. Leave grey out.")
    weights = np.array([0.299, 0.587, 0.114], dtype=np.float32)

    def luminance(chunk: Array) -> Array:
        grey_N1HW = np.einsum("nchw,c->nhw", chunk, weights)[:, None]
        return np.asarray(np.rint(grey_N1HW) if chunk.dtype == np.uint8 else grey_N1HW, dtype=chunk.dtype)

    return mapped_arrays.map_chunks(images, luminance)


def _images(x: Any, kind: str) -> Array:
    """Samples that must be images."""
    if x.ndim != 4:
        raise TlbenchError(
            f"prepare {kind} is for images (N, channels, height, width), and the samples are {tuple(x.shape[1:])}. "
            "To make images of vectors, give their shape, as in shape = [1, 16, 16]."
        )
    return dense(x)


def _range(x: Array) -> tuple[float, float]:
    """The smallest and the largest feature."""
    ranges = [(float(x[chunk].min()), float(x[chunk].max())) for chunk in mapped_arrays.chunks(x)]
    return min(low for low, _ in ranges), max(high for _, high in ranges)


def _per_sample(x: Array, statistic: Callable[[Array], Array]) -> Array:
    """A statistic of each sample (N,): the function maps flat samples (chunk, D) to numbers (chunk,)."""
    return np.concatenate([statistic(x[chunk].reshape(len(x[chunk]), -1)) for chunk in mapped_arrays.chunks(x)])


def _as_floats(x: Any) -> Any:
    """Integer features as floats: vectors in double precision, images in single precision to save memory."""
    if x.dtype.kind == "f":
        return x
    return x.astype(np.float32 if x.ndim == 4 else np.float64)


def _mean_and_std(x: Array, ddof: int) -> tuple[Array, Array]:
    """Mean and standard deviation of each feature, over samples x (N, ...).

    The deviation of a constant feature is exactly 0, where rounding of the mean would leave a small number. Samples that are
    too large for memory take two passes: one for the mean, one for the squared deviations.
    """
    if len(x) <= ddof:
        raise TlbenchError(f"prepare zscore with ddof = {ddof} needs more than {ddof} samples, and there are {len(x)}.")
    if x.nbytes <= mapped_arrays.MAPPED_BYTES:
        mean, std = x.mean(axis=0, dtype=np.float64), x.std(axis=0, dtype=np.float64, ddof=ddof)
        return mean, np.where((x == x[0]).all(axis=0), 0.0, std)
    first = x[0].copy()
    total, squares, varies = np.zeros(x.shape[1:]), np.zeros(x.shape[1:]), np.zeros(x.shape[1:], dtype=bool)
    for chunk in mapped_arrays.chunks(x):
        total += x[chunk].sum(axis=0, dtype=np.float64)
        varies |= (x[chunk] != first).any(axis=0)
    mean = total / len(x)
    for chunk in mapped_arrays.chunks(x):
        squares += np.square(x[chunk] - mean).sum(axis=0)
    return mean, np.where(varies, np.sqrt(squares / (len(x) - ddof)), 0.0)


def _divided(x: Any, divisors: Any) -> Any:
    """Samples x (N, ...) divided by one number each (N,), unless that number is 0."""
    divisors_N = np.asarray(divisors, dtype=np.float64).reshape(-1)
    divisors_N = np.where(divisors_N == 0, 1.0, divisors_N)
    if is_sparse(x):
        from scipy import sparse

        return (sparse.diags_array(1 / divisors_N) @ x).tocsr()
    if x.nbytes <= mapped_arrays.MAPPED_BYTES:
        return x / divisors_N.reshape(-1, *[1] * (x.ndim - 1))
    out = mapped_arrays.empty(x.shape, np.float32)
    for chunk in mapped_arrays.chunks(x):
        out[chunk] = x[chunk] / divisors_N[chunk].reshape(-1, *[1] * (x.ndim - 1))
        mapped_arrays.release(out)
    return out
