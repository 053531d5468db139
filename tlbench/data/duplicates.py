"""Rows that are there twice, number for number: what is scored must not be what was trained on."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from torch import Tensor

PREFILTER_NUMBERS = 64
"""Numbers of a row, evenly spread, that a first look goes by: only rows that agree in these are looked at whole."""
CHUNK_BYTES = 16 * 2**20


def count_duplicates(a: Tensor, b: Tensor | None = None) -> int:
    """How many rows of a (N, ...) are also rows of b (M, ...); without b, how many of a are there more than once.

    Rows of other shapes or types are no rows of each other.

    Rows are compared by 64-bit hashes (a chance of N M / 2^64 that an accidental one counts); some at a time, so that rows
    that are mapped from disk are not all held.
    """
    if b is None:
        _, counts = np.unique(_hashes(a.detach().cpu().reshape(len(a), -1).numpy(), None, None), return_counts=True)
        return int(counts[counts > 1].sum())
    if a.shape[1:] != b.shape[1:] or a.dtype != b.dtype or not len(a) or not len(b):
        return 0
    width = math.prod(a.shape[1:])
    flat = [part.detach().cpu().reshape(len(part), width).numpy() for part in (a, b)]
    if width > PREFILTER_NUMBERS:
        columns = np.linspace(0, width - 1, PREFILTER_NUMBERS).astype(np.int64)
        looks = [_hashes(part, None, columns) for part in flat]
        alike = [np.flatnonzero(np.isin(one, other)) for one, other in (looks, looks[::-1])]
    else:
        alike = [np.arange(len(part)) for part in flat]
    first, second = (_hashes(part, rows, None) for part, rows in zip(flat, alike, strict=True))
    return int(np.isin(first, second).sum())


def _hashes(x: NDArray[Any], rows: NDArray[np.int64] | None, columns: NDArray[np.int64] | None) -> NDArray[np.int64]:
    """A number for each row (N,); equal rows of one process have equal ones."""
    return np.fromiter(map(hash, _held(x, rows, columns)), dtype=np.int64)


def _held(x: NDArray[Any], rows: NDArray[np.int64] | None, columns: NDArray[np.int64] | None) -> Iterator[bytes]:
    """The bytes of some rows, in some columns."""
    count = len(x) if rows is None else len(rows)
    size = (x.shape[1] if columns is None else len(columns)) * x.itemsize
    step = max(1, CHUNK_BYTES // size)
    for start in range(0, count, step):
        part = x[start : start + step] if rows is None else x[rows[start : start + step]]
        part = np.ascontiguousarray(part if columns is None else part[:, columns])
        part = part + 0 if part.dtype.kind == "f" else part  # -0.0 is 0.0, whatever its bytes
        for row in part:
            yield row.tobytes()
