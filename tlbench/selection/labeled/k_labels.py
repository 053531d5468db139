"""k labels: the loss on labelled target samples, some of each class, that are granted for selection and are never scored.

Musgrave, Belongie and Lim, Unsupervised domain adaptation: a reality check, 2021 (validation with target labels).
https://arxiv.org/abs/2111.15672

It is noisy where labels are rare. AdaTime draws its labels from the loader of scored samples and goes on to score them; here
they are other samples, which is the caller's to see to.
"""

from __future__ import annotations

from dataclasses import dataclass

from tlbench.selection.base import Rule
from tlbench.selection.facts import Facts
from tlbench.selection.probabilities import Loss, sample_losses


@dataclass(frozen=True)
class KLabels(Rule):
    """Minus the mean loss on labelled target samples."""

    reads = ("target_labeled_logits", "target_labeled_labels")
    loss: Loss = "cross_entropy"

    def value(self, facts: Facts) -> float:
        """-mean l."""
        return -float(sample_losses(facts.target_labeled_logits, facts.target_labeled_labels, self.loss).mean())
