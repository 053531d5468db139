"""The labels of positions (tokens, pixels) -> class indices (N, P), in which what carries no label is `IGNORED`."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tlbench.data.labels.classes import Array, class_indices, encode_labels, rename_labels
from tlbench.data.labels.spans import SPAN_CLASSES
from tlbench.errors import TlbenchError
from tlbench.terms import IGNORED, POSITION_TASKS

OUTSIDE = "O"
"""The BIO tag of what belongs to no entity."""
ENTITY_TAG = re.compile(r"([BI])-(.+)")


def is_bio(names: Sequence[str]) -> bool:
    """Whether class names are BIO tags: O, and B-TYPE and I-TYPE of some types."""
    entities = [name for name in names if name != OUTSIDE]
    return bool(entities) and all(ENTITY_TAG.fullmatch(name) for name in entities)


def position_labels(y: Any, label_map: Mapping[str, str]) -> tuple[tuple[str, ...], NDArray[np.int64]]:
    """Labels as a reader returned them -> the names of the classes that occur, and class indices (N, P).

    Args:
        y: (N, P) texts, "" where a position carries no label, or integers, negative where it carries none.
        label_map: label -> its new name; of BIO tags type -> its new name, or O.

    Raises:
        TlbenchError: y has another shape or type, or a sample has no label at all.
    """
    y = np.asarray(y)
    if y.ndim != 2 or y.dtype.kind not in "iuU":
        raise TlbenchError(
            f"y has the shape {y.shape} and holds {y.dtype}; a task with a label for each position needs texts or whole "
            "numbers (N, P). The readers conll and masks give them."
        )
    counts = y != "" if y.dtype.kind == "U" else y >= 0
    if bare := np.flatnonzero(~counts.any(axis=1)).tolist():
        raise TlbenchError(f"{len(bare)} samples have no labelled position, first sample {bare[0]} (counted from 0).")
    names, indices = encode_labels(y[counts])
    by_name = _tag_map(names, label_map) if is_bio(names) else label_map
    renamed, indices = rename_labels(names, indices, by_name)
    labels = np.full(y.shape, IGNORED, dtype=np.int64)
    labels[counts] = indices
    return tuple(renamed), labels


def _tag_map(names: Sequence[str], type_map: Mapping[str, str]) -> dict[str, str]:
    """Tag -> its new name, from a map of types."""
    tags = {}
    for name in names:
        if (match := ENTITY_TAG.fullmatch(name)) is not None and match[2] in type_map:
            renamed = type_map[match[2]]
            tags[name] = OUTSIDE if renamed == OUTSIDE else f"{match[1]}-{renamed}"
    return tags


def domain_classes(task: str, classes: Sequence[str] | None, names: Sequence[str]) -> tuple[str, ...]:
    """The classes of a domain: those declared, types of entities as their tags; without a declaration those that occur.

    Where labels are numbers, or each of several tasks has its own classes, there are none.

    Args:
        task: of the domain.
        classes: what the domain declares.
        names: the labels that occur, after they were renamed.
    """
    if task not in ("classification", *POSITION_TASKS):
        return ()
    if task == "spans":
        return SPAN_CLASSES
    if classes is None or task == "classification":
        return tuple(classes or names)
    if is_bio(names) and OUTSIDE not in classes:
        return (OUTSIDE, *(f"{prefix}-{name}" for name in classes for prefix in "BI"))
    return tuple(classes)


def as_classes(names: Sequence[str], y_NP: NDArray[np.int64], classes: Sequence[str], *, drop_others: bool) -> Array:
    """Labels (N, P) as indices into `names` -> as indices into `classes`.

    Args:
        names: the names of the labels.
        y_NP: the labels, `IGNORED` where there is none.
        classes: the class list.
        drop_others: whether positions with other labels count nowhere.

    Raises:
        TlbenchError: a label outside the classes, which is not dropped.
    """
    counts = y_NP != IGNORED
    labels = np.full(y_NP.shape, IGNORED, dtype=np.int64)
    if not drop_others:
        labels[counts] = class_indices(names, y_NP[counts], classes)
        return labels
    index_of = {name: index for index, name in enumerate(classes)}
    labels[counts] = np.array([index_of.get(name, IGNORED) for name in names], dtype=np.int64)[y_NP[counts]]
    if bare := np.flatnonzero((labels == IGNORED).all(axis=1)).tolist():
        raise TlbenchError(
            f"drop_others leaves {len(bare)} samples without a labelled position, first sample {bare[0]} (from 0)."
        )
    return labels
