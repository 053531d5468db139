"""What a file holds -> rows that can be computed with: plain numbers, as many labels, nothing missing.

Rows are numpy arrays (N, ...) or scipy sparse arrays (N, D); labels come in as numbers or texts and leave as texts.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Self

import numpy as np
from numpy.typing import NDArray

from tlbench.data.decoding import mapped_arrays
from tlbench.errors import TlbenchError, did_you_mean

Array = NDArray[Any]

DENSE_LIMIT_BYTES = 8 * 2**30
"""Sparse rows that would take more than this as plain numbers are refused."""

UNKNOWN = "unknown"
"""The class that labels outside the class list become where a declaration says so."""


@dataclass(frozen=True)
class Table:
    """What a reader may give beside rows x (N, ...) and labels y (N,) or targets y (N, K).

    The group (N,) of each row, notes to the user, and the names of the K targets. x may be `Cells`.
    """

    x: Any
    y: Any
    group: Any = None
    notes: tuple[str, ...] = ()
    targets: tuple[str, ...] = ()


class Cells(ABC):
    """Rows that are not numbers yet: what makes numbers of them is learned from some of them (`data/encoders.py`)."""

    @abstractmethod
    def __len__(self) -> int:
        """N."""

    @abstractmethod
    def __getitem__(self, rows: Any) -> Self:
        """The rows of these numbers, or those that a mask keeps."""

    @abstractmethod
    def encoded(self, learned: Sequence[Self]) -> Any:
        """Rows (N, D), by what is learned from the rows of `learned` taken together."""

    @abstractmethod
    def digest(self) -> bytes:
        """A checksum of what the rows hold."""

    @property
    @abstractmethod
    def learns(self) -> bool:
        """Whether the numbers depend on the rows that are learned from."""


def is_sparse(x: Any) -> bool:
    """Whether x is a scipy sparse array or matrix; scipy is not imported to answer."""
    return hasattr(x, "tocsr")


def dense(x: Any) -> Array:
    """The same rows as a plain array.

    Raises:
        TlbenchError: sparse rows that would take too much memory.
    """
    if not is_sparse(x):
        return np.asarray(x)
    size = math.prod(x.shape) * x.dtype.itemsize
    if size > DENSE_LIMIT_BYTES:
        raise TlbenchError(
            f"sparse rows of {x.shape[1]} features take {size / 2**30:.1f} GiB as plain numbers, "
            f"and {DENSE_LIMIT_BYTES / 2**30:g} are allowed; keep fewer rows or features"
        )
    return np.asarray(x.toarray())


def validate_arrays(x: Any, y: Any, shape: Sequence[int] | None) -> tuple[Any, Array]:
    """Rows and labels as a reader gave them -> rows of the declared shape and labels (N,).

    Images that are not bytes become float32, and vectors are as read.

    Raises:
        TlbenchError: no rows, another number of labels, not numbers, not finite, or rows that don't fit the shape.
    """
    y = labels(y)
    return sample_array(x, len(y), shape), y


def labels(y: Any) -> Array:
    """Labels as a reader gave them -> (N,).

    Raises:
        TlbenchError: more than one label a row.
    """
    y = np.asarray(y)
    if y.ndim == 2 and 1 in y.shape:
        y = y.reshape(-1)
    if y.ndim != 1:
        raise TlbenchError(f"y has the shape {y.shape}; it must hold one label a row, (N,) or (N, 1)")
    return y


def sample_array(x: Any, count: int, shape: Sequence[int] | None) -> Any:
    """Rows as a reader gave them -> `count` rows of numbers, of the declared shape.

    Raises:
        TlbenchError: as `checked`.
    """
    x = x if is_sparse(x) else np.asanyarray(x)
    if x.dtype.kind not in "biuf":
        mixed = " (rows of mixed shapes, or objects)" if x.dtype.kind == "O" else ""
        raise TlbenchError(f"x holds {x.dtype}{mixed}, not numbers; every row must be numbers of one shape")
    if x.ndim == 0:
        raise TlbenchError("x is a single number; it must be rows (N, ...)")
    if x.ndim == 1:
        x = x.reshape(-1, 1)
    if x.shape[0] != count:
        turned = "; rows seem to be stored as columns" if x.shape[-1] == count else ""
        raise TlbenchError(f"x has {x.shape[0]} rows {x.shape} and y {count} labels{turned}; each row needs one label")
    if 0 in x.shape:
        raise TlbenchError(f"the domain is empty: x has the shape {x.shape}")
    x = x.tocsr() if is_sparse(x) else x
    finite(x, "as read")
    if shape is not None:
        if math.prod(shape) != math.prod(x.shape[1:]):
            raise TlbenchError(f"shape = {list(shape)} needs {math.prod(shape)} numbers a row; rows are {x.shape[1:]}")
        x = dense(x).reshape(-1, *shape)
    if x.ndim == 4 and x.dtype != np.uint8:
        x = mapped_arrays.changed(x, lambda part: part.astype(np.float32))
    return x


def targets(y: Any, names: Sequence[str] = (), rows: int | None = None) -> tuple[NDArray[np.float32], tuple[str, ...]]:
    """What a reader gave as labels of `rows` rows -> targets of a regression (N, K), and their K names ("target" without any).

    Raises:
        TlbenchError: not numbers, missing or not finite, or more axes than two.
    """
    y = np.asarray(y)
    y = y.reshape(-1) if y.ndim == 2 and rows is not None and y.shape == (1, rows) else y  # as MATLAB keeps a vector
    if y.ndim not in (1, 2) or 0 in y.shape:
        raise TlbenchError(
            f"y has the shape {y.shape}; targets of a regression are one number a row, (N,), or K of them, (N, K)"
        )
    y = y[:, None] if y.ndim == 1 else y
    names = tuple(names) or (("target",) if y.shape[1] == 1 else tuple(f"target_{k}" for k in range(y.shape[1])))
    if y.dtype.kind in "SUO":
        for k, name in enumerate(names):
            for row, cell in enumerate(y[:, k]):
                try:
                    float(cell)
                except (TypeError, ValueError) as error:
                    raise TlbenchError(
                        f"target {name!r} holds {_text(cell)[:40]!r} in row {row} (counted from 0); a regression needs numbers"
                    ) from error
    elif y.dtype.kind not in "biuf":
        raise TlbenchError(f"y holds {y.dtype}; the targets of a regression must be numbers")
    with np.errstate(over="ignore"):
        y = y.astype(np.float32)
    if not (there := np.isfinite(y)).all():
        row, k = np.argwhere(~there)[0]
        raise TlbenchError(
            f"{int((~there).sum())} targets are missing or not finite in single precision, "
            f"first {names[k]!r} in row {row} (counted from 0)"
        )
    return y, names


def finite(x: Any, when: str) -> None:
    """Hold x to finite numbers.

    Raises:
        TlbenchError: with how many there are and where the first one is.
    """
    if x.dtype.kind != "f":
        return
    if is_sparse(x):
        bad = ~np.isfinite(x.data)
        count, rows = int(bad.sum()), np.repeat(np.arange(x.shape[0]), np.diff(x.indptr))[bad]
    else:
        bad = np.concatenate([(~np.isfinite(x[part])).reshape(len(x[part]), -1).sum(axis=1) for part in mapped_arrays.parts(x)])
        count, rows = int(bad.sum()), np.flatnonzero(bad)
    if count:
        raise TlbenchError(
            f"{count} features are NaN or infinite {when}, in {len(np.unique(rows))} rows, first in row {rows.min()} "
            "(counted from 0); mend them in the file or leave the rows out"
        )


def _text(label: Any) -> str:
    if isinstance(label, bytes):
        return label.decode("utf-8", errors="replace").strip()
    if isinstance(label, float | np.floating) and float(label).is_integer():
        return str(int(label))
    return str(label).strip()


def texts(y: Array) -> tuple[list[str], NDArray[np.int64]]:
    """Labels (N,) of any type -> their distinct texts, sorted, and the position (N,) of each label in them.

    1.0 and 1 are both "1". Texts that are all numbers are sorted as numbers.

    Raises:
        TlbenchError: labels that are neither numbers nor texts, or not finite.
    """
    if y.dtype.kind == "O":
        if not all(isinstance(label, str | bytes | int | float | np.generic) for label in y):
            raise TlbenchError("y holds objects; labels must be numbers or texts")
        y = np.array([_text(label) for label in y])
    if y.dtype.kind not in "biufSU":
        raise TlbenchError(f"y holds {y.dtype}; labels must be numbers or texts")
    if y.dtype.kind == "f" and not np.isfinite(y).all():
        bad = np.flatnonzero(~np.isfinite(y))
        raise TlbenchError(f"{len(bad)} labels are NaN or infinite, first in row {bad[0]} (counted from 0)")
    values, inverse = np.unique(y, return_inverse=True)
    named = [_text(value) for value in values]
    names = sorted(set(named), key=_order(named))
    position = {text: i for i, text in enumerate(names)}
    return names, np.array([position[text] for text in named], dtype=np.int64)[inverse.reshape(-1)]


def _order(names: Sequence[str]) -> Any:
    """How class names are sorted: as numbers if all are numbers, else as texts."""
    try:
        if all(math.isfinite(float(name)) for name in names):
            return lambda name: (float(name), name)
    except ValueError:
        pass
    return lambda name: name


def numbered(names: Sequence[str], y: NDArray[np.int64], classes: Sequence[str]) -> NDArray[np.int64]:
    """Positions in `names` -> positions in `classes`.

    Raises:
        TlbenchError: a name that is not among the classes.
    """
    for i, name in enumerate(names):
        if name not in classes:
            raise TlbenchError(
                f"Label {name!r} ({int((y == i).sum())} samples) is not among the {len(classes)} classes. "
                f"{did_you_mean(name, classes)}"
            )
    return np.array([classes.index(name) for name in names], dtype=np.int64)[y]


def rename_labels(
    names: Sequence[str], y: NDArray[np.int64], renames: Mapping[str, str]
) -> tuple[list[str], NDArray[np.int64]]:
    """Label names and positions (N,) after some names were mapped to others; two names may become one."""
    new = [renames.get(name, name) for name in names]
    merged = sorted(set(new), key=_order(new))
    return merged, np.array([merged.index(name) for name in new], dtype=np.int64)[y]


def settle_samples(
    names: Sequence[str], y: NDArray[np.int64], classes: Sequence[str], others: Literal["refuse", "drop", "unknown"]
) -> tuple[NDArray[np.intp], NDArray[np.int64]]:
    """Which rows stay (their numbers), and their labels as positions in `classes`.

    Labels outside the classes are refused, their rows dropped, or they become the class "unknown", which is one of them.

    Raises:
        TlbenchError: a label outside the classes that is neither dropped nor unknown, or no row left.
    """
    if others == "refuse":
        return np.arange(len(y)), numbered(names, y, classes)
    rest = -1 if others == "drop" else list(classes).index(UNKNOWN)
    position = np.array([classes.index(name) if name in classes else rest for name in names], dtype=np.int64)[y]
    rows = np.flatnonzero(position >= 0)
    if not len(rows):
        raise TlbenchError(f"drop_others leaves no row: no label is among the classes; the labels are {', '.join(names)}")
    return rows, position[rows]
