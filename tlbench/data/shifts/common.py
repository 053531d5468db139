"""What the shifts share: the types of their options, the kind of rows that they are for, and rows that are kept."""

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
Finite = Annotated[float, Field(allow_inf_nan=False)]
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
NotNegative = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Share = Annotated[float, Field(ge=0, le=1)]

CHUNK = 4096
"""Images that are changed at once."""


def images_of(x: Any, kind: str) -> Array:
    """Rows as images (N, channels, height, width).

    Raises:
        TlbenchError: they are none.
    """
    if x.ndim != 4:
        raise TlbenchError(
            f"shift {kind} is for images (N, channels, height, width); rows are {tuple(x.shape[1:])}: "
            "give their shape, as in shape = [1, 16, 16]"
        )
    return np.asarray(x)


def vectors_of(x: Any, kind: str) -> Array:
    """Rows as vectors (N, D) or series (N, channels, time), sparse ones as plain numbers.

    Raises:
        TlbenchError: they are images.
    """
    if x.ndim == 4:
        raise TlbenchError(f"shift {kind} is for vectors (N, D) and series; rows are images {tuple(x.shape[1:])}")
    return dense(x)


def series_of(x: Any, kind: str) -> Array:
    """Rows as time series (N, channels, time) in double precision.

    Raises:
        TlbenchError: they are none.
    """
    if x.ndim != 3:
        raise TlbenchError(
            f"shift {kind} is for time series (N, channels, time); rows are {tuple(x.shape[1:])}: "
            "read them by the reader series, or give their shape, as in shape = [3, 128]"
        )
    return np.asarray(x, dtype=np.float64)


def standard(x_ND: Array) -> tuple[Array, Array, Array]:
    """z-scored rows (N, D) in double precision, and the means and deviations (D,); a constant feature stays 0."""
    x_ND = x_ND.astype(np.float64)
    mean, std = x_ND.mean(axis=0), x_ND.std(axis=0)
    std = np.where((x_ND == x_ND[0]).all(axis=0) | (std == 0), 1.0, std)
    return (x_ND - mean) / std, mean, std


def limits(x: Array) -> tuple[float, float]:
    """Darkest and brightest value: of the type for bytes, of the images themselves for floats."""
    return (0, 255) if x.dtype == np.uint8 else (x.min(), x.max())


def repainted(x: Array, change: Callable[[Array], Array]) -> Array:
    """Images changed as float32, chunk by chunk, clipped to their range; bytes are rounded to bytes again."""
    low, high = limits(x)
    out = mapped_arrays.empty(x.shape, x.dtype)
    for start in range(0, len(x), CHUNK):
        changed = np.clip(change(x[start : start + CHUNK].astype(np.float32)), low, high)
        out[start : start + CHUNK] = np.rint(changed) if x.dtype == np.uint8 else changed
    return out


def kept(y: Labels, rows: Labels, kind: str) -> Labels:
    """These row numbers, in their old order.

    Raises:
        TlbenchError: there is none.
    """
    if not len(rows):
        raise TlbenchError(f"{kind} leaves no row of {len(y)}; soften it, or begin with more rows")
    return np.sort(rows)


def rounded(sizes: NDArray[np.floating[Any]]) -> Labels:
    """Whole numbers with the same sum, each less than 1 away (largest remainders go up)."""
    sizes = np.round(sizes, 9)
    whole: Labels = np.floor(sizes).astype(np.int64)
    up = np.argsort(whole - sizes, kind="stable")[: round(float(sizes.sum())) - int(whole.sum())]
    whole[up] += 1
    return whole


def drawn(y: Labels, sizes: Labels, rng: np.random.Generator) -> Labels:
    """The numbers of `sizes[c]` random rows of each class c."""
    order = rng.permutation(len(y))
    return np.concatenate([order[y[order] == c][:size] for c, size in enumerate(sizes)])
