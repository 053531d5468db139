"""What a transferability score may read: arrays of one candidate and one target."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tlbench.errors import TlbenchError, unknown_name
from tlbench.user_arrays import checked_array

Array = NDArray[Any]
Floats = NDArray[np.float64]

SAME_SAMPLES = (
    ("source_features", "source_labels"),
    ("target_features", "target_labels", "target_values", "source_probabilities"),
)
"""Arrays of the same samples in the same order: their first axes are equal."""
DIMENSIONS = {
    **dict.fromkeys(("source_labels", "target_labels", "other_accuracies"), 1),
    **dict.fromkeys(("source_accuracy", "parameters", "seed"), 0),
}
"""The number of axes, where it is not two."""
INTEGERS = frozenset({"source_labels", "target_labels", "parameters", "seed"})
ROUNDING = 1e-3
"""By how much the probabilities of a sample may miss a sum of 1; half precision rounds to this."""


@dataclass(frozen=True)
class Inputs:
    """Arrays of one candidate and one target: NumPy arrays, torch tensors or nested lists; what is not known is None.

    m target samples and n source samples have D features, those of the candidate where it is a model. There are C classes of
    the target and Z classes of the source.
    """

    target_features: Any = None
    """(m, D): features of target samples."""
    target_labels: Any = None
    """(m,): their classes, integers from 0 on."""
    target_values: Any = None
    """(m, K): their K numbers, for regression."""
    source_probabilities: Any = None
    """(m, Z): probabilities of the source's classes that a source model gives to the target samples."""
    source_features: Any = None
    """(n, D): features of source samples."""
    source_labels: Any = None
    """(n,): their classes, integers from 0 on."""
    source_accuracy: Any = None
    """The accuracy of a source model on held-out source samples, or of a pre-trained model where it was trained."""
    parameters: Any = None
    """The number of parameters of a model."""
    other_accuracies: Any = None
    """(T,): what the candidate has reached on T other targets."""
    seed: Any = None
    """The seed of a random choice; each candidate has its own."""


NAMES = tuple(field.name for field in fields(Inputs))
"""The names of all arrays."""


def checked(arrays: Mapping[str, Any], names: Sequence[str], score: str) -> Inputs:
    """The named arrays alone, as float64 or int64 NumPy arrays.

    Raises:
        TlbenchError: a name is unknown, or an array is missing, no array of numbers, empty, not finite, or misfits another.
    """
    for name in arrays:
        if name not in NAMES:
            raise TlbenchError(unknown_name("array", name, NAMES))
    for name in names:
        if arrays.get(name) is None:
            raise TlbenchError(f"Score {score!r} reads {name}, which is not given. Pass {name}=....")
    read = {name: _array(name, arrays[name]) for name in names}
    for group in SAME_SAMPLES:
        _equal("samples", {name: read[name].shape[0] for name in group if name in read})
    _equal("features", {name: read[name].shape[1] for name in ("source_features", "target_features") if name in read})
    if "source_probabilities" in read:
        _check_probabilities(read["source_probabilities"])
    return Inputs(**read)


def class_indices(labels: Array) -> tuple[Array, int]:
    """Labels (m,) as indices into the C classes that occur among them, and C.

    Raises:
        TlbenchError: there is one class.
    """
    classes, indices = np.unique(labels, return_inverse=True)
    if len(classes) < 2:
        raise TlbenchError("The samples are of one class. Pass samples of two classes or more.")
    return indices, len(classes)


def centered_features(features: Floats) -> Floats:
    """Features (m, D) less their mean.

    Raises:
        TlbenchError: all samples have the same features.
    """
    centered = features - features.mean(axis=0)
    if not centered.any():
        raise TlbenchError("All target samples have the same features. Leave this candidate out.")
    return centered


def class_means(features: Floats, indices: Array, classes: int) -> Floats:
    """The mean features (C, D) of each class."""
    sums = np.zeros((classes, features.shape[1]))
    np.add.at(sums, indices, features)
    return sums / np.bincount(indices, minlength=classes)[:, None]


def _array(name: str, value: Any) -> Array:
    """An input as a float64 or int64 array of its number of axes."""
    integers = name in INTEGERS
    array = checked_array(name, value, axes=DIMENSIONS.get(name, 2), integers=integers, candidate="candidate")
    if integers and array.min() < 0:
        raise TlbenchError(f"{name} holds {array.min()}. Pass integers from 0 on.")
    return array


def _check_probabilities(probabilities: Array) -> None:
    """Check that each sample has probabilities of two classes or more."""
    if probabilities.shape[1] < 2:
        raise TlbenchError("source_probabilities has one class. Pass the probabilities of two classes or more.")
    if probabilities.min() < 0 or np.abs(probabilities.sum(axis=1) - 1).max() > ROUNDING:
        raise TlbenchError("source_probabilities are not from 0 to 1 with a sum of 1 a sample. Pass the softmax of the logits.")


def _equal(what: str, counts: Mapping[str, int]) -> None:
    """Check that arrays agree in a number."""
    if len(set(counts.values())) > 1:
        differing = ", ".join(f"{name} has {count}" for name, count in counts.items())
        raise TlbenchError(f"The numbers of {what} differ: {differing}. Pass arrays of the same {what}.")
