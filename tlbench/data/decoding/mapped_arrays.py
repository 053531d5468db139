"""Arrays that may be larger than memory: large ones lie in a memory-mapped file and are processed in chunks.

The operating system counts the resident pages of a mapping as memory in use, so every pass over an array releases the pages
that it has processed.
"""

from __future__ import annotations

import math
import mmap
import shutil
import tempfile
import weakref
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tlbench.data.decoding import files
from tlbench.errors import TlbenchError

Array = NDArray[Any]

CHUNK_BYTES = 16 * 2**20
"""The size of the chunks of a pass."""
MAPPED_BYTES = 256 * 2**20
"""Arrays of more bytes than this are allocated on disk."""


def empty(shape: Sequence[int], dtype: Any) -> Array:
    """An uninitialised array: in memory or, if it is large, in an unnamed temporary file in the cache folder.

    The file is deleted with the array.

    Raises:
        TlbenchError: the disk has too little free space.
    """
    size_bytes = math.prod(shape) * np.dtype(dtype).itemsize
    if size_bytes <= MAPPED_BYTES:
        return np.empty(tuple(shape), dtype)
    cache = files.cache_folder()
    if cache is not None:
        cache.mkdir(parents=True, exist_ok=True)
    folder = tempfile.gettempdir() if cache is None else str(cache)
    if size_bytes > (free_bytes := shutil.disk_usage(folder).free):
        raise TlbenchError(
            f"The samples take {size_bytes / 2**30:.1f} GiB on disk, and {folder} has {free_bytes / 2**30:.1f} GiB free. "
            "Name another folder by TLBENCH_CACHE."
        )
    with tempfile.TemporaryFile(dir=folder) as file:
        return np.memmap(file, dtype=dtype, mode="w+", shape=tuple(shape))


def chunks(x: Any) -> Iterator[slice]:
    """Slices that cover the samples of x (N, ...) in order; the pages of a finished chunk are released."""
    count = x.shape[0]
    length = max(1, CHUNK_BYTES // max(1, math.prod(x.shape[1:]) * x.dtype.itemsize))
    for start in range(0, count, length):
        yield slice(start, min(start + length, count))
        release(x)


def release(x: Any) -> None:
    """Release the resident pages of a mapped array; arrays in memory stay as they are.

    The array must be unmodified, or its mapping must write to its file: modified private pages would be lost.
    """
    if (mapping := _mapping_of(x)) is not None and hasattr(mmap, "MADV_DONTNEED"):
        mapping.madvise(mmap.MADV_DONTNEED)


def is_mapped(x: Any) -> bool:
    """Whether an array lies in a mapped file."""
    return _mapping_of(x) is not None


_mapped_arrays: weakref.WeakValueDictionary[int, Any] = weakref.WeakValueDictionary()
"""Mapped arrays by the address of their data: the NumPy view of a tensor does not refer to the mapping itself."""


def remember(x: Array) -> Array:
    """The same array; if it is mapped, `release` also works for tensors that share its memory."""
    if is_mapped(x):
        _mapped_arrays[x.ctypes.data] = x
    return x


def _mapping_of(x: Any) -> mmap.mmap | None:
    address = x.ctypes.data if isinstance(x, np.ndarray) else 0
    while isinstance(x, np.ndarray):
        x = x.base
    if x is not None and not isinstance(x, mmap.mmap) and (owner := _mapped_arrays.get(address)) is not None:
        return _mapping_of(owner)
    return x if isinstance(x, mmap.mmap) else None


def map_chunks(x: Array, function: Callable[[Array], Array]) -> Array:
    """`function` of all samples x (N, ...), applied chunk by chunk: it must treat each sample independently."""
    out: Array | None = None
    for chunk in chunks(x):
        result = np.asarray(function(x[chunk]))
        if out is None:
            out = empty((len(x), *result.shape[1:]), result.dtype)
        out[chunk] = result
        release(out)
    return x if out is None else out


def take(x: Any, indices: NDArray[np.integer[Any]]) -> Any:
    """The samples of x (N, ...) at some indices (M,); sparse samples stay sparse."""
    if not isinstance(x, np.ndarray) or x[:1].nbytes * len(indices) <= MAPPED_BYTES:
        return x[indices]
    out = empty((len(indices), *x.shape[1:]), x.dtype)
    for chunk in chunks(out):
        out[chunk] = x[indices[chunk]]
        release(x)
    return out
