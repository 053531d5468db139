"""Mean confidence: the largest class probability, averaged over the target samples.

Hendrycks and Gimpel, A baseline for detecting misclassified and out-of-distribution examples in neural networks, ICLR 2017.
https://arxiv.org/abs/1610.02136

A model that predicts one class with certainty is the best of all.
"""

from __future__ import annotations

from dataclasses import dataclass

from tlbench.selection.base import Rule
from tlbench.selection.facts import Facts
from tlbench.selection.probabilities import softmax


@dataclass(frozen=True)
class Confidence(Rule):
    """The mean largest class probability of target samples."""

    reads = ("target_logits",)

    def value(self, facts: Facts) -> float:
        """mean max p."""
        return float(softmax(facts.target_logits).max(1).mean())
