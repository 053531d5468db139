"""Source risk: the loss on labelled source samples that are held out from training.

It is blind to the shift, and prefers the least adapted model. pytorch-adapt's AccuracyValidator is this rule with the loss
"error". Codes that call a loss on source *training* samples, or an accuracy on source *test* samples, source risk compute
other numbers.
"""

from __future__ import annotations

from dataclasses import dataclass

from tlbench.selection.base import Rule
from tlbench.selection.facts import Facts
from tlbench.selection.probabilities import Loss, sample_losses


@dataclass(frozen=True)
class SourceRisk(Rule):
    """Minus the mean loss on held-out source samples."""

    reads = ("source_logits", "source_labels")
    loss: Loss = "cross_entropy"

    def value(self, facts: Facts) -> float:
        """-mean l."""
        return -float(sample_losses(facts.source_logits, facts.source_labels, self.loss).mean())
