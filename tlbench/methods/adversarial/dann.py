"""DANN: features from which a discriminator cannot tell the domains, learned by reversing its gradient.

Ganin et al., Domain-adversarial training of neural networks, JMLR 2016. https://arxiv.org/abs/1505.07818
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor

from tlbench.methods.base import DeepMethod
from tlbench.nn.gradient_reversal import reversal_schedule, reverse_gradient
from tlbench.nn.heads import Discriminator
from tlbench.nn.net import concatenated
from tlbench.terms import Step


class DANN(DeepMethod):
    """CE(source) + weight * BCE(d(R_k(features)), domain), a mean over the source and the target batch."""

    reads = frozenset({"source", "target"})
    soft_labels = True
    tasks = frozenset({"classification", "regression"})
    weight: float = Field(1.0, ge=0, description="of the domain loss, for the discriminator and the features alike")
    hidden: int = Field(256, ge=0, description="width of the discriminator's two hidden layers; 0: a logistic regression")
    gamma: float = Field(10.0, gt=0, description="steepness of the schedule of the gradient reversal")

    def build(self) -> None:
        """Create the discriminator."""
        self.discriminator = Discriminator(self.net.backbone.width, self.hidden)

    def loss(self, step: Step) -> Tensor:
        """Cross-entropy on the source and domain loss, a scalar; k rises from 0 to nearly 1 (equation 14)."""
        if not self.weight:
            return self.supervised(step)
        source_BD, target_BD = self.net.features(step.source.x, step.target)
        task = self.criterion(self.net.head(source_BD), step.source.y)
        logits = self.discriminator(
            reverse_gradient(concatenated(source_BD, target_BD), reversal_schedule(step.progress, self.gamma))
        )
        is_source = torch.zeros_like(logits)
        is_source[: len(source_BD)] = 1
        # alpha saves a product and its backward, which take over 1 % of a short step
        return task.add(F.binary_cross_entropy_with_logits(logits, is_source), alpha=self.weight)
