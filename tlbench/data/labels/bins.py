"""A column of numbers as classes: between which limits a number lies."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence

import numpy as np

from tlbench.data.labels.classes import Array
from tlbench.errors import TlbenchError


def bin_names(limits: Sequence[float]) -> tuple[str, ...]:
    """The names of the classes between ascending limits, such as "below 35", "35 to 75" and "75 and more"."""
    between = (f"{low:g} to {high:g}" for low, high in itertools.pairwise(limits))
    return (f"below {limits[0]:g}", *between, f"{limits[-1]:g} and more")


def binned(labels: Array, limits: Sequence[float], number: Callable[[str], float]) -> Array:
    """The class names (N,) of labels by ascending limits; a number that is a limit belongs to the class above it.

    Args:
        labels: (N,) numbers, or texts of numbers.
        limits: of the classes.
        number: a text -> its number.

    Raises:
        TlbenchError: there are several columns of labels, or a label is no finite number.
    """
    if labels.ndim != 1:
        raise TlbenchError("bins makes classes of one column of numbers, and label names several. Name one.")
    values = np.empty(len(labels))
    for index, label in enumerate(labels):
        try:
            values[index] = number(label) if isinstance(label, str) else label
        except (TypeError, ValueError) as error:
            raise TlbenchError(
                f"bins makes classes of numbers, and the label of row {index} (from 0) is {label!r:.60}."
            ) from error
    if not np.isfinite(values).all():
        raise TlbenchError("bins makes classes of finite numbers, and a label is infinite or missing. Leave it out by `where`.")
    return np.array(bin_names(limits))[np.digitize(values, limits)]
