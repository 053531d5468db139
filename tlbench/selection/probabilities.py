"""Softmax, entropies and losses of logits, without overflow."""

from __future__ import annotations

from typing import Literal

import numpy as np
from scipy.special import log_softmax, xlogy
from scipy.special import softmax as scipy_softmax

from tlbench.errors import TlbenchError
from tlbench.selection.facts import Array

Loss = Literal["cross_entropy", "error"]
"""The loss of a sample: cross-entropy in nats, or 1 for a wrong prediction and 0 for a right one."""


def softmax(logits: Array) -> Array:
    """Class probabilities of logits (..., C)."""
    return scipy_softmax(logits, axis=-1)


def entropies(logits: Array) -> Array:
    """The entropy of each prediction in nats: logits (..., C) -> (...)."""
    return -(softmax(logits) * log_softmax(logits, axis=-1)).sum(-1)


def entropy(probabilities: Array) -> float:
    """The entropy of one distribution (C,) in nats; 0 log 0 is 0."""
    return float(-xlogy(probabilities, probabilities).sum())


def mutual_information(logits: Array) -> float:
    """H(mean p) - mean H(p), in nats: logits (m, C)."""
    return entropy(softmax(logits).mean(0)) - float(entropies(logits).mean())


def sample_losses(logits: Array, labels: Array, loss: str) -> Array:
    """The loss of each sample: logits (n, C) and labels (n,) -> (n,)."""
    if one_of("loss", loss, ("cross_entropy", "error")) == "error":
        return (logits.argmax(1) != labels).astype(np.float64)
    return -log_softmax(logits, axis=1)[np.arange(len(labels)), labels]


def one_of(option: str, value: str, available: tuple[str, ...]) -> str:
    """The value of an option.

    Raises:
        TlbenchError: the value is none of those available.
    """
    if value not in available:
        raise TlbenchError(f"Option {option} is {value!r}. Available: {', '.join(available)}.")
    return value
