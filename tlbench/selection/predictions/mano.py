"""MaNo: the p-norm of the normalised target predictions.

Xie et al., MaNo: exploiting matrix norm for unsupervised accuracy estimation under distribution shifts, NeurIPS 2024.
https://arxiv.org/abs/2405.18979

It is a confidence, and certain predictions of one class are the best of all. Where the mean cross-entropy to the uniform
distribution is at most `threshold`, the predictions are normalised by a second-order Taylor softmax, which depends on the
level of the logits and raises strongly negative ones. The authors' code computes each batch with batch statistics in training
mode, and takes exp of logits without normalising above the threshold; skada shifts the logits below zero before the Taylor
softmax, which loses the predicted class.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from scipy.special import log_softmax

from tlbench.errors import TlbenchError
from tlbench.selection.base import Rule
from tlbench.selection.facts import Array, Facts
from tlbench.selection.probabilities import one_of, softmax


@dataclass(frozen=True)
class MaNo(Rule):
    """The mean p-th power of normalised predictions, to the power 1/p."""

    reads = ("target_logits",)
    p: float = 4.0
    normalization: Literal["auto", "softmax", "taylor"] = "auto"
    """The normalisation of logits; "auto" is softmax above the threshold and Taylor below."""
    threshold: float = 5.0
    """In nats."""

    def value(self, facts: Facts) -> float:
        """(mean P^p)^(1/p), over samples and classes."""
        if not self.p > 0:
            raise TlbenchError(f"Option p is {self.p}. It is greater than 0.")
        logits = facts.target_logits
        kind = one_of("normalization", self.normalization, ("auto", "softmax", "taylor"))
        if kind == "auto":
            kind = "softmax" if -log_softmax(logits, axis=1).mean() > self.threshold else "taylor"
        normalized = softmax(logits) if kind == "softmax" else _taylor_softmax(logits)
        return float(np.mean(normalized**self.p) ** (1 / self.p))


def _taylor_softmax(logits: Array) -> Array:
    """1 + z + z^2 / 2, less its minimum over the classes, by its sum; uniform where all logits of a sample are equal."""
    powers = 1 + logits + logits**2 / 2
    powers = powers - powers.min(1, keepdims=True)
    sums = powers.sum(1, keepdims=True)
    return np.where(sums > 0, powers / np.where(sums > 0, sums, 1), 1 / logits.shape[1])
