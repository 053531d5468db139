"""Diversity: the entropy of the mean prediction on target samples.

Musgrave, Belongie and Lim, Three new validators and a large-scale benchmark ranking for unsupervised domain adaptation, 2022.
https://arxiv.org/abs/2208.07360

It assumes classes of about equal size, and a model that predicts nothing at all reaches the maximum, log C.
"""

from __future__ import annotations

from dataclasses import dataclass

from tlbench.selection.base import Rule
from tlbench.selection.facts import Facts
from tlbench.selection.probabilities import entropy, softmax


@dataclass(frozen=True)
class Diversity(Rule):
    """The entropy of the mean target prediction, in nats."""

    reads = ("target_logits",)

    def value(self, facts: Facts) -> float:
        """H(mean p)."""
        return entropy(softmax(facts.target_logits).mean(0))
