"""Rows that may be larger than memory: made in a mapped file where they are large, and passed over some at a time.

What is mapped counts as memory in use while its pages lie there; each pass lets go of the pages behind it.
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
"""What a pass holds at once."""
MAPPED_BYTES = 256 * 2**20
"""Arrays of more bytes than this are made on disk."""


def empty(shape: Sequence[int], dtype: Any) -> Array:
    """An array to be filled: in memory, or if it is large in a nameless file of the cache's disk, which goes with it.

    Raises:
        TlbenchError: that disk has not as much room.
    """
    size = math.prod(shape) * np.dtype(dtype).itemsize
    if size <= MAPPED_BYTES:
        return np.empty(tuple(shape), dtype)
    folder = files.cache_folder()
    if folder is not None:
        folder.mkdir(parents=True, exist_ok=True)
    place = tempfile.gettempdir() if folder is None else str(folder)
    if size > (free := shutil.disk_usage(place).free):
        raise TlbenchError(
            f"rows of {size / 2**30:.1f} GiB need as much room in {place}, where {free / 2**30:.1f} GiB are free; "
            "TLBENCH_CACHE names another folder"
        )
    with tempfile.TemporaryFile(dir=place) as file:
        return np.memmap(file, dtype=dtype, mode="w+", shape=tuple(shape))


def parts(x: Any) -> Iterator[slice]:
    """The rows of x, some at a time; the pages of what was passed are let go of."""
    rows = x.shape[0]
    step = max(1, CHUNK_BYTES // max(1, math.prod(x.shape[1:]) * x.dtype.itemsize))
    for start in range(0, rows, step):
        yield slice(start, min(start + step, rows))
        release(x)


def release(x: Any) -> None:
    """Let go of the pages of a mapped array that nobody has changed (or that writes to its file)."""
    if (held := _map(x)) is not None and hasattr(mmap, "MADV_DONTNEED"):
        held.madvise(mmap.MADV_DONTNEED)


def is_mapped(x: Any) -> bool:
    """Whether an array lies in a mapped file."""
    return _map(x) is not None


_known: weakref.WeakValueDictionary[int, Any] = weakref.WeakValueDictionary()
"""Mapped arrays by their address: a tensor that was made of one does not say so."""


def remember(x: Array) -> Array:
    """The same array; if it is mapped, `release` knows its tensor from now on."""
    if is_mapped(x):
        _known[x.ctypes.data] = x
    return x


def _map(x: Any) -> mmap.mmap | None:
    address = x.ctypes.data if isinstance(x, np.ndarray) else 0
    while isinstance(x, np.ndarray):
        x = x.base
    if x is not None and not isinstance(x, mmap.mmap) and (held := _known.get(address)) is not None:
        return _map(held)
    return x if isinstance(x, mmap.mmap) else None


def changed(x: Array, change: Callable[[Array], Array]) -> Array:
    """`change` of all rows (N, ...), some at a time: for what treats each row by itself."""
    out: Array | None = None
    for part in parts(x):
        made = np.asarray(change(x[part]))
        if out is None:
            out = empty((len(x), *made.shape[1:]), made.dtype)
        out[part] = made
        release(out)
    return x if out is None else out


def taken(x: Any, rows: NDArray[np.integer[Any]]) -> Any:
    """The rows of these numbers; sparse ones stay sparse."""
    if not isinstance(x, np.ndarray) or x[:1].nbytes * len(rows) <= MAPPED_BYTES:
        return x[rows]
    out = empty((len(rows), *x.shape[1:]), x.dtype)
    for part in parts(out):
        out[part] = x[rows[part]]
        release(x)
    return out
