"""Information maximisation: certain predictions of all classes, diversity minus mean entropy.

Musgrave, Belongie and Lim, Three new validators and a large-scale benchmark ranking for unsupervised domain adaptation, 2022.
https://arxiv.org/abs/2208.07360

It assumes classes of about equal size: label shift and partial label sets mislead it. It is the loss of SHOT-IM, which it
favours.
"""

from __future__ import annotations

from dataclasses import dataclass

from tlbench.selection.base import Rule
from tlbench.selection.facts import Facts
from tlbench.selection.probabilities import mutual_information


@dataclass(frozen=True)
class InformationMaximization(Rule):
    """The mutual information of target samples and predicted classes, in nats."""

    reads = ("target_logits",)

    def value(self, facts: Facts) -> float:
        """H(mean p) - mean H(p)."""
        return mutual_information(facts.target_logits)
