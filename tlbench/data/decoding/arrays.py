"""Arrays that a reader returns -> checked samples of plain numbers: NumPy arrays (N, ...) or SciPy sparse arrays (N, D)."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from tlbench.data.decoding import mapped_arrays
from tlbench.errors import TlbenchError
from tlbench.passages import Passages

Array = NDArray[Any]

DENSE_LIMIT_BYTES = 8 * 2**30
"""Sparse samples that would take more than this as a dense array are refused."""


@dataclass(frozen=True)
class ReaderResult:
    """What a reader returns when a pair (x, y) is not enough.

    x holds samples (N, ...) or `UnencodedSamples`, y labels (N,) or regression targets (N, K).
    """

    x: Any
    y: Any
    group: Any = None
    """The group of each sample (N,), or None."""
    notes: tuple[str, ...] = ()
    """Sentences for the user about what was read otherwise than declared."""
    targets: tuple[str, ...] = ()
    """The names of the K target columns."""
    number: Callable[[str], float] = float
    """A target as it was read -> its number, where targets are texts."""
    left_out: tuple[str, ...] = ()
    """Sentences about columns and samples that are left out though nothing declares it; they are notes of the domain."""
    reading: tuple[str, ...] = ()
    """What was read, for `data show`: the columns used, and the rows that the declaration selects."""
    tokens: bool = False
    """Whether x holds token ids (N, length), which stay whole numbers."""
    passages: Passages | None = None
    """The texts of the samples, where answers are spans of them."""


class UnencodedSamples(ABC):
    """Samples that are not numeric yet: their encoding is fitted on some samples (`data/decoding/feature_encoders.py`)."""

    @abstractmethod
    def __len__(self) -> int:
        """The number of samples N."""

    @abstractmethod
    def __getitem__(self, indices: Any) -> Self:
        """The samples at some indices, or those that a Boolean mask selects."""

    @abstractmethod
    def encode(self, fit_on: Sequence[Self]) -> Any:
        """These samples as features (N, D), by an encoding that is fitted on all samples of `fit_on` pooled."""

    @abstractmethod
    def digest(self) -> bytes:
        """A checksum of the content of the samples."""

    @property
    @abstractmethod
    def requires_fit(self) -> bool:
        """Whether the features depend on the samples that the encoding is fitted on."""


def is_sparse(x: Any) -> bool:
    """Whether x is a SciPy sparse array or matrix; SciPy is not imported for the answer."""
    return hasattr(x, "tocsr")


def dense(x: Any) -> Array:
    """The same samples as a dense array.

    Raises:
        TlbenchError: sparse samples that would take too much memory.
    """
    if not is_sparse(x):
        return np.asarray(x)
    size_bytes = math.prod(x.shape) * x.dtype.itemsize
    if size_bytes > DENSE_LIMIT_BYTES:
        raise TlbenchError(
            f"Sparse samples of {x.shape[1]} features take {size_bytes / 2**30:.1f} GiB as a dense array, "
            f"and {DENSE_LIMIT_BYTES / 2**30:g} GiB are allowed. Select fewer samples or features."
        )
    return np.asarray(x.toarray())


def sample_array(x: Any, count: int, shape: Sequence[int] | None) -> Any:
    """Samples as a reader returned them -> `count` samples of finite numbers, of the declared shape.

    Images that are not bytes become float32; vectors keep their type.

    Raises:
        TlbenchError: no samples, not as many as labels, not numbers, not finite, or another size than `shape` needs.
    """
    x = x if is_sparse(x) else np.asanyarray(x)
    if x.dtype.kind not in "biuf":
        mixed = " (samples of mixed shapes, or objects)" if x.dtype.kind == "O" else ""
        raise TlbenchError(f"x holds {x.dtype}{mixed}, not numbers; all samples must be numbers of one shape.")
    if x.ndim == 0:
        raise TlbenchError("x is a single number; it must hold samples, as (N, ...).")
    if x.ndim == 1:
        x = x.reshape(-1, 1)
    if x.shape[0] != count:
        transposed = " The samples seem to be stored as columns." if x.shape[-1] == count else ""
        raise TlbenchError(
            f"x has {x.shape[0]} samples {x.shape} and y {count} labels; each sample needs one label.{transposed}"
        )
    if 0 in x.shape:
        raise TlbenchError(f"The domain is empty: x has the shape {x.shape}.")
    x = x.tocsr() if is_sparse(x) else x
    check_finite(x, "as read")
    if shape is not None:
        if math.prod(shape) != math.prod(x.shape[1:]):
            raise TlbenchError(
                f"shape = {list(shape)} needs {math.prod(shape)} numbers per sample, and the samples are {x.shape[1:]}."
            )
        x = dense(x).reshape(-1, *shape)
    if x.ndim == 4 and x.dtype != np.uint8:
        x = mapped_arrays.map_chunks(x, lambda chunk: chunk.astype(np.float32))
    return x


def check_finite(x: Any, when: str) -> None:
    """Check that all features of x (N, ...) are finite; `when` says at which point, such as "as read".

    Raises:
        TlbenchError: some are not; it says how many and where the first one is.
    """
    if x.dtype.kind != "f":
        return
    if is_sparse(x):
        bad = ~np.isfinite(x.data)
        count, indices = int(bad.sum()), np.repeat(np.arange(x.shape[0]), np.diff(x.indptr))[bad]
    else:
        bad_N = np.concatenate(
            [(~np.isfinite(x[chunk])).reshape(len(x[chunk]), -1).sum(axis=1) for chunk in mapped_arrays.chunks(x)]
        )
        count, indices = int(bad_N.sum()), np.flatnonzero(bad_N)
    if count:
        raise TlbenchError(
            f"{count} features are NaN or infinite {when}, in {len(np.unique(indices))} samples, first in sample "
            f"{indices.min()} (counted from 0). Correct them in the file, or leave these samples out."
        )
