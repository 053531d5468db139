"""What a selection rule may read: arrays of one checkpoint that no label of a scored sample decides."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

from numpy.typing import NDArray

from tlbench.errors import TlbenchError, unknown_name
from tlbench.user_arrays import checked_array

Array = NDArray[Any]
LOGITS = ("source_logits", "target_logits", "reverse_logits", "target_labeled_logits", "mixed_logits", "pool_logits")
LABELS = {"source_labels": "source_logits", "target_labeled_labels": "target_labeled_logits"}
"""Facts that hold labels, and the logits of the same samples."""
SAME_SAMPLES = (
    ("source_logits", "source_labels", "source_features", "reverse_logits"),
    ("target_logits", "target_features"),
    ("target_labeled_logits", "target_labeled_labels"),
    ("mixed_logits", "mixed_indices"),
)
"""Facts of the same samples in the same order: their first axes are equal."""
SAME_COLUMNS = ("source_train_features", "source_features", "target_features", "classifier_weights")
"""Facts of the same features: their last axes are equal."""
DIMENSIONS = {"pool_logits": 3, "source_labels": 1, "target_labeled_labels": 1, "step": 0, "seed": 0}
"""The number of axes, where it is not two."""
INTEGERS = frozenset({"source_labels", "target_labeled_labels", "mixed_indices", "step", "seed"})


@dataclass(frozen=True)
class Facts:
    """Label-free facts of one checkpoint: NumPy arrays, torch tensors or nested lists; what is not known is None.

    n source samples are held out from training, m target samples are unlabelled, there are C classes and D features. Labels are
    those of source samples and of labelled target samples that a user grants; none is of a scored sample.
    """

    source_logits: Any = None
    """(n, C): logits of held-out source samples."""
    source_labels: Any = None
    """(n,): their classes, from 0 to C - 1."""
    source_features: Any = None
    """(n, D): their features."""
    source_train_features: Any = None
    """(k, D): features of source samples that the model was trained on."""
    target_logits: Any = None
    """(m, C): logits of unlabelled target samples."""
    target_features: Any = None
    """(m, D): their features."""
    target_labeled_logits: Any = None
    """(l, C): logits of labelled target samples that neither trained the model nor are scored."""
    target_labeled_labels: Any = None
    """(l,): their classes."""
    mixed_logits: Any = None
    """(q, C): logits of mixed target samples, a x_i + (1 - a) x_j with a > 1/2."""
    mixed_indices: Any = None
    """(q, 2): the indices i and j of the target samples that were mixed, the one of the larger weight first."""
    pool_logits: Any = None
    """(K, m, C): logits of the same target samples by all K candidates, this one among them."""
    reverse_logits: Any = None
    """(n, C): logits of the held-out source samples by a model that has learned the target samples with their pseudo-labels."""
    classifier_weights: Any = None
    """(C, D): the weights of the last layer, a vector for each class."""
    step: Any = None
    """The training step of the checkpoint; 0 is the model before adaptation."""
    seed: Any = None
    """The seed of a random choice."""


FACTS = tuple(field.name for field in fields(Facts))
"""The names of all facts."""


def facts_from(arrays: dict[str, Any]) -> Facts:
    """Facts from arrays by name.

    Raises:
        TlbenchError: a name is none of a fact.
    """
    for name in arrays:
        if name not in FACTS:
            raise TlbenchError(unknown_name("fact", name, FACTS))
    return Facts(**arrays)


def checked(facts: Facts, names: tuple[str, ...], rule: str) -> Facts:
    """The named facts alone, as float64 or int64 NumPy arrays.

    Raises:
        TlbenchError: a fact is missing, no array of numbers, empty, not finite, out of range, or does not fit another.
    """
    for name in names:
        if getattr(facts, name) is None:
            raise TlbenchError(f"Rule {rule!r} reads {name}, which is not given. Pass {name}=....")
    arrays = {name: _array(name, getattr(facts, name)) for name in names}
    for group in (*SAME_SAMPLES, ("pool_logits", "target_logits")):
        _equal("samples", {name: arrays[name].shape[-2 if name == "pool_logits" else 0] for name in group if name in arrays})
    _equal("features", {name: arrays[name].shape[-1] for name in SAME_COLUMNS if name in arrays})
    classes = {name: arrays[name].shape[-1] for name in LOGITS if name in arrays}
    if "classifier_weights" in arrays:
        classes["classifier_weights"] = len(arrays["classifier_weights"])
    _equal("classes", classes)
    for name, logits in LABELS.items():
        if name in arrays and logits in names:
            _in_range(name, arrays[name], arrays[logits].shape[1])
        elif name in arrays and "reverse_logits" in arrays:
            _in_range(name, arrays[name], arrays["reverse_logits"].shape[1])
    if "mixed_indices" in arrays and "target_logits" in arrays:
        if arrays["mixed_indices"].shape[1] != 2:
            raise TlbenchError(
                f"mixed_indices has shape {arrays['mixed_indices'].shape}. It holds two indices a sample: (q, 2)."
            )
        _in_range("mixed_indices", arrays["mixed_indices"], len(arrays["target_logits"]))
    return Facts(**arrays)


def _array(name: str, value: Any) -> Array:
    """A fact as a float64 or int64 array of its number of axes."""
    axes = DIMENSIONS.get(name, 2)
    array = checked_array(name, value, axes=axes, integers=name in INTEGERS, candidate="checkpoint")
    if name in LOGITS and array.shape[-1] < 2:
        raise TlbenchError(f"{name} has one class (shape {array.shape}). Pass the logits of two classes or more.")
    if name in {"step", "seed"} and array < 0:
        raise TlbenchError(f"{name} is {array}. Pass 0 or more.")
    return array


def _equal(what: str, counts: dict[str, int]) -> None:
    """Check that facts agree in a number."""
    if len(set(counts.values())) > 1:
        differing = ", ".join(f"{name} has {count}" for name, count in counts.items())
        raise TlbenchError(f"The numbers of {what} differ: {differing}. Pass arrays of the same {what}.")


def _in_range(name: str, integers: Array, limit: int) -> None:
    """Check that labels or indices are from 0 to below a limit."""
    if integers.min() < 0 or integers.max() >= limit:
        raise TlbenchError(f"{name} holds {integers.min()} to {integers.max()}. Pass integers from 0 to {limit - 1}.")
