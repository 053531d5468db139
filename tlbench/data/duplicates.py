"""Samples that occur twice, number for number: scored samples must not be training samples."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from torch import Tensor

PREFILTER_NUMBERS = 64
"""A first pass compares this many features, evenly spread; only samples that agree in them are compared as a whole."""
CHUNK_BYTES = 16 * 2**20


def count_duplicates(a: Tensor, b: Tensor | None = None) -> int:
    """How many samples of a (N, ...) are also samples of b (M, ...); without b, how many of a occur in it more than once.

    Samples of different shapes or types are never equal.

    Samples are compared by 64-bit hashes (the chance that two different ones are counted is about N M / 2^64), in chunks, so
    that a mapped tensor need not fit into memory.
    """
    if b is None:
        _, counts = np.unique(_hashes(a.detach().cpu().reshape(len(a), -1).numpy(), None, None), return_counts=True)
        return int(counts[counts > 1].sum())
    if a.shape[1:] != b.shape[1:] or a.dtype != b.dtype or not len(a) or not len(b):
        return 0
    width = math.prod(a.shape[1:])
    flat_a, flat_b = (x.detach().cpu().reshape(len(x), width).numpy() for x in (a, b))
    if width > PREFILTER_NUMBERS:
        columns = np.linspace(0, width - 1, PREFILTER_NUMBERS).astype(np.int64)
        partial_a, partial_b = _hashes(flat_a, None, columns), _hashes(flat_b, None, columns)
        candidates_a = np.flatnonzero(np.isin(partial_a, partial_b))
        candidates_b = np.flatnonzero(np.isin(partial_b, partial_a))
    else:
        candidates_a, candidates_b = np.arange(len(flat_a)), np.arange(len(flat_b))
    return int(np.isin(_hashes(flat_a, candidates_a, None), _hashes(flat_b, candidates_b, None)).sum())


def _hashes(x_ND: NDArray[Any], indices: NDArray[np.int64] | None, columns: NDArray[np.int64] | None) -> NDArray[np.int64]:
    """A hash of each sample (N,); equal samples have equal hashes within a process."""
    return np.fromiter(map(hash, _sample_bytes(x_ND, indices, columns)), dtype=np.int64)


def _sample_bytes(x_ND: NDArray[Any], indices: NDArray[np.int64] | None, columns: NDArray[np.int64] | None) -> Iterator[bytes]:
    """The bytes of the samples at some indices (None: all), restricted to some columns (None: all)."""
    count = len(x_ND) if indices is None else len(indices)
    size_bytes = (x_ND.shape[1] if columns is None else len(columns)) * x_ND.itemsize
    length = max(1, CHUNK_BYTES // size_bytes)
    for start in range(0, count, length):
        chunk = x_ND[start : start + length] if indices is None else x_ND[indices[start : start + length]]
        chunk = np.ascontiguousarray(chunk if columns is None else chunk[:, columns])
        chunk = chunk + 0 if chunk.dtype.kind == "f" else chunk  # -0.0 equals 0.0, but its bytes differ
        for sample in chunk:
            yield sample.tobytes()
