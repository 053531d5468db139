"""Soft neighbourhood density: how many near neighbours a target sample has.

Saito et al., Tune it the right way: unsupervised validation of domain adaptation via soft neighborhood density, ICCV 2021.
https://arxiv.org/abs/2108.10860

One tight cluster of all samples is the best of all, and the number depends on the temperature and on the number of samples. A
sample is no neighbour of itself: pytorch-adapt leaves it out, the authors' code and skada set its similarity to the least
possible (`own_similarity = "least"`). The authors and skada compare probabilities, the code of EnsV compares logits.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from scipy.special import xlogy

from tlbench.errors import TlbenchError
from tlbench.selection.base import Rule
from tlbench.selection.facts import Facts
from tlbench.selection.probabilities import one_of, softmax

BLOCK = 1024
"""Samples whose similarities to all are in memory at once."""


@dataclass(frozen=True)
class SND(Rule):
    """The mean entropy of the softmax of cosine similarities between target samples, in nats."""

    reads = ("target_logits",)
    temperature: float = 0.05
    layer: Literal["probabilities", "logits", "features"] = "probabilities"
    """The vectors that are compared."""
    own_similarity: Literal["removed", "least"] = "removed"
    """Whether a sample is left out of its own neighbors, or has the similarity -1."""

    def required(self) -> tuple[str, ...]:
        """The target logits, or the target features."""
        layer = one_of("layer", self.layer, ("probabilities", "logits", "features"))
        return ("target_features",) if layer == "features" else self.reads

    def value(self, facts: Facts) -> float:
        """mean H(softmax(cos / T)), own similarity left out."""
        one_of("own_similarity", self.own_similarity, ("removed", "least"))
        if not self.temperature > 0:
            raise TlbenchError(f"Option temperature is {self.temperature}. It is greater than 0.")
        vectors = facts.target_features if self.layer == "features" else facts.target_logits
        if self.layer == "probabilities":
            vectors = softmax(vectors)
        if len(vectors) < 2:
            raise TlbenchError("SND compares target samples, and there is one. Pass two or more.")
        vectors = vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)
        own = -1 / self.temperature if self.own_similarity == "least" else -np.inf
        total = 0.0
        for start in range(0, len(vectors), BLOCK):
            similarities = vectors[start : start + BLOCK] @ vectors.T / self.temperature
            similarities[np.arange(len(similarities)), start + np.arange(len(similarities))] = own
            neighbors = softmax(similarities)
            total -= float(xlogy(neighbors, neighbors).sum())
        return total / len(vectors)
