"""Adversarial methods for several sources: the loss of each source, of its labels and of a domain classifier of its own."""

from __future__ import annotations

import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn

from tlbench.methods.base import DeepMethod
from tlbench.methods.multi_source._sources import source_shares
from tlbench.nn.gradient_reversal import reverse_gradient
from tlbench.nn.net import concatenated
from tlbench.terms import Step


class SourceAdversaries(DeepMethod):
    """One linear domain classifier for each source, behind a gradient reversal without a schedule."""

    reads = frozenset({"source", "target"})
    soft_labels = True
    domain_weight: float = Field(0.01, gt=0, description="of the domain loss of each source")

    def build(self) -> None:
        """Create the domain classifiers, one output each; a positive logit means source."""
        self.adversaries = nn.Linear(self.net.backbone.width, self.source_count)

    def losses(self, step: Step) -> tuple[Tensor, Tensor]:
        """CE(source) + domain_weight * domain loss of each source (S,), and whether the batch has samples of it (S,).

        A domain loss is the sum of the mean losses of the source's and of the target's samples.
        """
        source_BD, target_BD = self.net.features(step.source.x, step.target)
        shares_SB = source_shares(step.source, self.source_count)
        task_B = self.criterion(self.net.head(source_BD), step.source.y, "none")
        logits_BS = self.adversaries(reverse_gradient(concatenated(source_BD, target_BD), 1.0))
        of_source_S = (shares_SB * F.softplus(-logits_BS[: len(source_BD)]).T).sum(dim=1)
        of_target_S = F.softplus(logits_BS[len(source_BD) :]).mean(dim=0)
        return shares_SB @ task_B + self.domain_weight * (of_source_S + of_target_S), shares_SB.sum(dim=1) > 0
