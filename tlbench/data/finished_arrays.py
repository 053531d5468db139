"""Finished samples: arrays of the types that tensors have, a note on what rounding merges, and the fingerprint."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tlbench.data.decoding import arrays, mapped_arrays
from tlbench.data.decoding.arrays import Array
from tlbench.data.labels.classes import MAX_ROUNDING
from tlbench.terms import Labelled

SubsetArrays = tuple[Array, Array, "Array | None"]
"""x (N, ...), y (N,) or (N, K), and group (N,) of the main or the test samples."""


def to_arrays(x: Any, y: NDArray[Any], group: Array | None, *, tokens: bool = False) -> SubsetArrays:
    """Arrays as the tensors will hold them: byte images as bytes, token ids int32, other samples float32, labels int64.

    Args:
        x: samples (N, ...), dense or sparse.
        y: labels (N,), whole numbers (N, P) of positions, or regression targets (N, K) as floats.
        group: the group of each sample (N,), or None.
        tokens: whether the samples are token ids.
    """
    x = arrays.dense(x)
    dtype: Any = np.int32 if tokens else np.uint8 if x.ndim == 4 and x.dtype == np.uint8 else np.float32
    with np.errstate(over="ignore"):  # a value too large for float32 becomes infinite, which is an error below
        fits = x.dtype == dtype and x.flags["C_CONTIGUOUS"] and x.flags["WRITEABLE"]
        if not (fits and mapped_arrays.is_mapped(x)):  # a fitting array that is mapped copy-on-write stays in its file
            small = x.size * np.dtype(dtype).itemsize <= mapped_arrays.MAPPED_BYTES
            x = (
                np.require(x, dtype, ["C", "W", "O"])
                if small
                else mapped_arrays.map_chunks(x, lambda chunk: chunk.astype(dtype))
            )
    arrays.check_finite(x, "after shifts and preparations, in single precision")
    return x, np.require(y, np.int64 if y.ndim == 1 or y.dtype.kind in "iu" else np.float32, ["C", "W", "O"]), group


def to_labelled(x: Array, y: Array, group: Array | None) -> Labelled:
    """Samples (N, ...), labels (N,) or (N, K) and groups (N,) as tensors."""
    import torch

    samples, groups = torch.from_numpy(mapped_arrays.remember(x)), None if group is None else torch.from_numpy(group)
    return Labelled(samples, torch.from_numpy(y), group=groups)


def fingerprint(subsets: Sequence[SubsetArrays], names: Sequence[str], digests: Sequence[bytes]) -> str:
    """16 hex digits of the sha256 of the content of a Domain, whatever its name and its files are.

    Where features are fitted for each pair, the content is the domain as fitted on itself and the digests of its samples as
    they were read.
    """
    hasher = hashlib.sha256(repr((tuple(names), len(subsets))).encode())
    for subset in subsets:
        for array in subset:
            if array is None:
                continue
            hasher.update(f"{array.shape}{array.dtype.str}".encode())
            for chunk in mapped_arrays.chunks(array):
                hasher.update(np.ascontiguousarray(array[chunk]).data)
    for digest in digests:
        hasher.update(digest)
    return hasher.hexdigest()[:16]


def merged_features(x: Any) -> tuple[str, ...]:
    """A note on features of vectors x (N, D) whose values single precision merges, if there are any.

    Seconds since 1970 and numbers of dates and of customers are such: the rounding is not small beside their deviation.
    """
    if arrays.is_sparse(x) or x.ndim != 2 or x.dtype.kind not in "iuf" or x.itemsize < 4 or x.dtype == np.float32:
        return ()
    if mapped_arrays.is_mapped(x) or x.nbytes > mapped_arrays.MAPPED_BYTES:
        return ()
    largest = np.maximum(np.abs(x.max(axis=0).astype(np.float64)), np.abs(x.min(axis=0).astype(np.float64)))
    epsilon = float(np.finfo(np.float32).eps)
    with np.errstate(over="ignore", invalid="ignore"):  # too large for float32 is an error elsewhere
        suspects = np.flatnonzero(largest * epsilon > MAX_ROUNDING * x.std(axis=0, dtype=np.float64))
    merged = [k for k in suspects if len(np.unique(x[:, k].astype(np.float32))) < len(np.unique(x[:, k]))]
    if not merged:
        return ()
    first = x[:, merged[0]]
    return (
        f"Single precision can't tell the values of {len(merged)} features apart, first of feature {merged[0]} (from 0): "
        f"{len(np.unique(first))} values become {len(np.unique(first.astype(np.float32)))}. Set prepare = ['zscore'], or "
        "subtract a constant in the file.",
    )
