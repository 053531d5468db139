"""What the shifts share: types of options, checks of the samples' kind, image chunks, and draws per class."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from tlbench.data.decoding import mapped_arrays
from tlbench.data.decoding.arrays import Array, dense
from tlbench.errors import TlbenchError

Labels = NDArray[np.int64]
Indices = NDArray[np.int64]
Finite = Annotated[float, Field(allow_inf_nan=False)]
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
NotNegative = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Share = Annotated[float, Field(ge=0, le=1)]

CHUNK = 4096
"""The number of images that are changed at once."""


def as_images(x: Any, kind: str) -> Array:
    """The samples, if they are images (N, channels, height, width).

    Raises:
        TlbenchError: the samples have another number of axes.
    """
    if x.ndim != 4:
        raise TlbenchError(
            f"The shift {kind} needs images (N, channels, height, width), and the samples have the shape "
            f"{tuple(x.shape[1:])}. Give their shape, as in shape = [1, 16, 16]."
        )
    return np.asarray(x)


def as_vectors(x: Any, kind: str) -> Array:
    """The samples as a dense array, if they are vectors (N, D) or series (N, channels, time).

    Raises:
        TlbenchError: the samples are images.
    """
    if x.ndim == 4:
        raise TlbenchError(
            f"The shift {kind} needs vectors (N, D) or series, and the samples are images {tuple(x.shape[1:])}. "
            "Use a shift for images."
        )
    return dense(x)


def as_series(x: Any, kind: str) -> Array:
    """The samples in double precision, if they are time series (N, channels, time).

    Raises:
        TlbenchError: the samples have another number of axes.
    """
    if x.ndim != 3:
        raise TlbenchError(
            f"The shift {kind} needs time series (N, channels, time), and the samples have the shape {tuple(x.shape[1:])}. "
            "Read them with the reader series, or give their shape, as in shape = [3, 128]."
        )
    return np.asarray(x, dtype=np.float64)


def standardize(x_ND: Array) -> tuple[Array, Array, Array]:
    """z-scored samples (N, D) in double precision, means (D,) and standard deviations (D,); constant features become 0."""
    x_ND = x_ND.astype(np.float64)
    mean, std = x_ND.mean(axis=0), x_ND.std(axis=0)
    std = np.where((x_ND == x_ND[0]).all(axis=0) | (std == 0), 1.0, std)
    return (x_ND - mean) / std, mean, std


def value_range(x: Array) -> tuple[float, float]:
    """The darkest and the brightest value: 0 and 255 for bytes, minimum and maximum of the images for floats."""
    return (0, 255) if x.dtype == np.uint8 else (x.min(), x.max())


def map_images(x: Array, change: Callable[[Array], Array]) -> Array:
    """Images changed as float32, chunk by chunk, clipped to their range; bytes are rounded to bytes again.

    Args:
        x: images (N, channels, height, width).
        change: gets a chunk (n, channels, height, width) of float32 and returns as many images.
    """
    low, high = value_range(x)
    out = mapped_arrays.empty(x.shape, x.dtype)
    for start in range(0, len(x), CHUNK):
        changed = np.clip(change(x[start : start + CHUNK].astype(np.float32)), low, high)
        out[start : start + CHUNK] = np.rint(changed) if x.dtype == np.uint8 else changed
    return out


def selected_in_order(indices: Indices, count: int, kind: str) -> Indices:
    """The selected indices (M,) of `count` samples, sorted, so that the samples stay in their order.

    Raises:
        TlbenchError: no sample is selected.
    """
    if not len(indices):
        raise TlbenchError(
            f"The shift {kind} leaves none of {count} samples. Make the shift weaker, or begin with more samples."
        )
    return np.sort(indices)


def round_to_total(sizes: NDArray[np.floating[Any]]) -> Labels:
    """Whole numbers with the same sum, each less than 1 away; the largest remainders are rounded up."""
    sizes = np.round(sizes, 9)
    whole: Labels = np.floor(sizes).astype(np.int64)
    up = np.argsort(whole - sizes, kind="stable")[: round(float(sizes.sum())) - int(whole.sum())]
    whole[up] += 1
    return whole


def draw_per_class(y: Labels, sizes: Labels, rng: np.random.Generator) -> Indices:
    """The indices of `sizes[c]` random samples of each class c; y (N,), sizes (C,)."""
    order = rng.permutation(len(y))
    return np.concatenate([order[y[order] == c][:size] for c, size in enumerate(sizes)])
