"""Entropy: how certain the predictions on target samples are.

Morerio, Cavazza and Murino, Minimal-entropy correlation alignment for unsupervised deep domain adaptation, ICLR 2018.
https://arxiv.org/abs/1711.10288

A model that predicts one class with certainty is the best of all. skada's mean is over samples and classes, which divides by
C.
"""

from __future__ import annotations

from dataclasses import dataclass

from tlbench.selection.base import Rule
from tlbench.selection.facts import Facts
from tlbench.selection.probabilities import entropies


@dataclass(frozen=True)
class Entropy(Rule):
    """Minus the mean entropy of the target predictions, in nats."""

    reads = ("target_logits",)

    def value(self, facts: Facts) -> float:
        """-mean H(p)."""
        return -float(entropies(facts.target_logits).mean())
