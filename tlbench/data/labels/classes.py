"""Labels that a reader returns -> class indices with class names, or regression targets.

Labels come in as numbers or texts; class names are texts, as written. The Unicode forms of one name are one class (NFC).
"""

from __future__ import annotations

import math
import sys
import unicodedata
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from tlbench.errors import TlbenchError, did_you_mean
from tlbench.label_sets import UNKNOWN as UNKNOWN

Array = NDArray[Any]

MAX_ROUNDING = 1e-3
"""Targets whose rounding to single precision exceeds this share of their standard deviation are refused."""
MAX_SUGGESTED = 1000
"""A name is compared with at most so many classes to say which one may be meant."""
LISTED_NAMES = 20
"""An error lists at most so many names."""


def normalized(name: str) -> str:
    """A name in the Unicode form NFC: what looks the same is one name, whichever system wrote it."""
    return unicodedata.normalize("NFC", name)


def listed(names: Sequence[str]) -> str:
    """Names for a sentence: the first ones, and how many there are beside them."""
    rest = f", and {len(names) - LISTED_NAMES:,} more" if len(names) > LISTED_NAMES else ""
    return ", ".join(names[:LISTED_NAMES]) + rest


def check_unicode(texts: Array) -> None:
    """Check that an array of texts holds characters only; the file of an array may hold any number in the place of one.

    Raises:
        TlbenchError: a number that is no character.
    """
    if texts.dtype.kind == "U" and texts.dtype.itemsize and texts.size:
        codes = np.ascontiguousarray(texts).reshape(-1).view(np.dtype(np.uint32).newbyteorder(texts.dtype.byteorder))
        if codes.max() > sys.maxunicode:
            raise TlbenchError(f"The texts hold {int(codes.max()):#x}, which is no character of Unicode. The file is damaged.")


def label_array(y: Any) -> Array:
    """Labels as a reader returned them, (N,), (N, 1) or (1, N) -> (N,).

    Raises:
        TlbenchError: more than one label per sample.
    """
    y = np.asarray(y)
    if y.ndim == 2 and 1 in y.shape:
        y = y.reshape(-1)
    if y.ndim != 1:
        raise TlbenchError(f"y has the shape {y.shape}; it must hold one label per sample, as (N,) or (N, 1).")
    return y


def target_array(
    y: Any, names: Sequence[str] = (), count: int | None = None, number: Callable[[str], float] = float
) -> tuple[NDArray[np.float32], tuple[str, ...]]:
    """Labels as a reader returned them -> regression targets (N, K) and the names of the K targets.

    Args:
        y: (N,) or (N, K), numbers or texts of numbers.
        names: the K names; without any, "target", or "target_0", "target_1"... where K > 1.
        count: the number of samples N where it is known; then (1, N), as MATLAB stores a vector, is one target.
        number: a text -> its number; it raises a ValueError for other texts.

    Raises:
        TlbenchError: targets that are not numbers, missing or not finite, or of more than two axes.
    """
    y = np.asarray(y)
    y = y.reshape(-1) if y.ndim == 2 and count is not None and y.shape == (1, count) else y
    if y.ndim not in (1, 2) or 0 in y.shape:
        raise TlbenchError(
            f"y has the shape {y.shape}; targets of a regression are one number per sample, (N,), or K of them, (N, K)."
        )
    y = y[:, None] if y.ndim == 1 else y
    names = tuple(names) or (("target",) if y.shape[1] == 1 else tuple(f"target_{k}" for k in range(y.shape[1])))
    if y.dtype.kind in "SUO":
        check_unicode(y)
        y = y.astype(object)
        for k, name in enumerate(names):
            for i, value in enumerate(y[:, k]):
                try:
                    y[i, k] = number(value) if isinstance(value, str) else float(value)
                except (TypeError, ValueError) as error:
                    raise TlbenchError(
                        f"The target {name!r} holds {_label_text(value)[:40]!r} in sample {i} (counted from 0); "
                        "a regression needs numbers."
                    ) from error
    elif y.dtype.kind not in "biuf":
        raise TlbenchError(f"y holds {y.dtype}; the targets of a regression must be numbers.")
    as_read = y
    with np.errstate(over="ignore"):
        y = y.astype(np.float32)
    if not (is_finite := np.isfinite(y)).all():
        i, k = np.argwhere(~is_finite)[0]
        raise TlbenchError(
            f"{int((~is_finite).sum())} targets are missing or not finite in single precision, "
            f"first {names[k]!r} in sample {i} (counted from 0). Correct them, or select other samples."
        )
    for k, name in enumerate(names):
        _check_precision(as_read[:, k], y[:, k], name)
    return y, names


def _check_precision(as_read: Array, rounded: NDArray[np.float32], name: str) -> None:
    """Check that a target (N,) keeps its differences in single precision.

    Raises:
        TlbenchError: seconds since 1970, dates as numbers and the like, which rounding would merge.
    """
    as_read = as_read if as_read.dtype.kind in "iu" and as_read.itemsize == 8 else as_read.astype(np.float64)
    if as_read.dtype.kind in "iu" and int(as_read.max()) - int(as_read.min()) < 2**53:
        origin = as_read.min()  # differences of whole numbers are exact, the numbers themselves need not be
        exact = (as_read - origin).astype(np.float64)
        rounding = np.abs(exact - (rounded.astype(np.float64) - float(origin)))
    else:
        exact = as_read.astype(np.float64, copy=False)
        rounding = np.abs(exact - rounded)
    if rounding.max() <= MAX_ROUNDING * exact.std():
        return
    distinct, left = len(np.unique(exact)), len(np.unique(rounded))
    if left < distinct:
        raise TlbenchError(
            f"Single precision can't tell the targets {name!r} apart: of {distinct:,} distinct values from {as_read.min()} to "
            f"{as_read.max()} it keeps {left:,}. Subtract a constant in the file, such as the smallest value."
        )


def _label_text(label: Any) -> str:
    if isinstance(label, bytes):
        return normalized(label.decode("utf-8", errors="replace").strip())
    if isinstance(label, float | np.floating) and float(label).is_integer():
        return str(int(label))
    return normalized(str(label).strip())


def encode_labels(y: Array) -> tuple[list[str], NDArray[np.int64]]:
    """Labels (N,) of any type -> their sorted distinct names, and the index (N,) of each label among the names.

    The numbers 1.0 and 1 both have the name "1". Names that are all numbers are sorted as numbers.

    Raises:
        TlbenchError: labels that are neither numbers nor texts, or not finite.
    """
    check_unicode(y)
    if y.dtype.kind == "O":
        if not all(isinstance(label, str | bytes | int | float | np.generic) for label in y):
            raise TlbenchError("y holds objects; labels must be numbers or texts.")
        y = np.array([_label_text(label) for label in y])
    if y.dtype.kind not in "biufSU":
        raise TlbenchError(f"y holds {y.dtype}; labels must be numbers or texts.")
    if y.dtype.kind == "f" and not np.isfinite(y).all():
        indices = np.flatnonzero(~np.isfinite(y))
        raise TlbenchError(
            f"{len(indices)} labels are NaN or infinite, first in sample {indices[0]} (counted from 0). "
            "Correct them, or leave these samples out."
        )
    values, inverse = np.unique(y, return_inverse=True)
    texts = [_label_text(value) for value in values]
    for text in texts:
        if any("\ud800" <= character <= "\udfff" for character in text):
            raise TlbenchError(f"The label {text!r} holds half a character (a lone surrogate). Correct it in the file.")
    names = sorted(set(texts), key=_sort_key(texts))
    index_of = {name: i for i, name in enumerate(names)}
    return names, np.array([index_of[text] for text in texts], dtype=np.int64)[inverse.reshape(-1)]


def _sort_key(names: Sequence[str]) -> Callable[[str], Any]:
    """The sort key of class names: their numbers if all of them are finite numbers, else their texts."""
    try:
        if all(math.isfinite(float(name)) for name in names):
            return lambda name: (float(name), name)
    except ValueError:
        pass
    return lambda name: name


def class_indices(names: Sequence[str], y: NDArray[np.int64], classes: Sequence[str]) -> NDArray[np.int64]:
    """Labels (N,) as indices into `names` -> as indices into `classes`.

    Raises:
        TlbenchError: a name that is not among the classes.
    """
    index_of = _index_of(classes)
    for i, name in enumerate(names):
        if name not in index_of:
            raise TlbenchError(
                f"Label {name!r} ({int((y == i).sum())} samples) is not among the {len(classes)} classes. "
                f"{did_you_mean(name, classes[:MAX_SUGGESTED])} Add it to classes, rename it by label_map, leave such samples "
                "out by drop_others = true, or make them one class by unknown = true."
            )
    return np.array([index_of[name] for name in names], dtype=np.int64)[y]


def _index_of(names: Sequence[str]) -> dict[str, int]:
    """The first index of each name."""
    return {name: i for i, name in reversed(list(enumerate(names)))}


def rename_labels(
    names: Sequence[str], y: NDArray[np.int64], label_map: Mapping[str, str]
) -> tuple[list[str], NDArray[np.int64]]:
    """Label names and indices (N,) into them, after `label_map` renamed some; two names may become one."""
    renamed = [label_map.get(name, name) for name in names]
    distinct = sorted(set(renamed), key=_sort_key(renamed))
    index_of = _index_of(distinct)
    return distinct, np.array([index_of[name] for name in renamed], dtype=np.int64)[y]


def select_classes(
    names: Sequence[str], y: NDArray[np.int64], classes: Sequence[str], others: Literal["refuse", "drop", "unknown"]
) -> tuple[NDArray[np.intp], NDArray[np.int64]]:
    """The indices (M,) of the samples of some classes, and their labels (M,) as indices into `classes`.

    Args:
        names: the names of the labels that occur.
        y: labels (N,) as indices into `names`.
        classes: the class list.
        others: what happens to samples with other labels: an error, they are dropped, or they get the class "unknown",
            which is then one of `classes`.

    Raises:
        TlbenchError: a label outside the classes that is refused, or no sample is left.
    """
    if others == "refuse":
        return np.arange(len(y)), class_indices(names, y, classes)
    index_of = _index_of(classes)
    other_class = -1 if others == "drop" else index_of[UNKNOWN]
    labels = np.array([index_of.get(name, other_class) for name in names], dtype=np.int64)[y]
    indices = np.flatnonzero(labels >= 0)
    if not len(indices):
        raise TlbenchError(f"drop_others leaves no samples, for no label is among the classes. The labels are {listed(names)}.")
    return indices, labels[indices]
