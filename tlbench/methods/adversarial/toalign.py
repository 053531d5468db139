"""ToAlign: DANN that aligns the target with what the classifier uses of the source features, not with all of them.

Wei et al., ToAlign: task-oriented alignment for unsupervised domain adaptation, NeurIPS 2021. https://arxiv.org/abs/2106.10812
"""

from __future__ import annotations

import torch.nn.functional as F
from pydantic import Field
from torch import Tensor

from tlbench.methods.base import DeepMethod
from tlbench.nn.gradient_reversal import reversal_schedule, reverse_gradient
from tlbench.nn.heads import Discriminator, domain_loss
from tlbench.nn.net import concatenated
from tlbench.terms import Step


class ToAlign(DeepMethod):
    """CE(source) + weight * BCE(d(R_k(softmax(head(f)))), domain), f the features, of the source times the head's weights.

    These are the weights of a sample's class; they carry no gradient, and are scaled so that the sample's features have the
    norm that they had before. As in the authors' code the discriminator sees predictions; its heuristic heads are left out.
    """

    reads = frozenset({"source", "target"})
    weight: float = Field(1.0, ge=0, description="of the domain loss, for the discriminator and the network alike")
    hidden: int = Field(256, ge=1, description="width of the discriminator's two hidden layers")
    gamma: float = Field(10.0, gt=0, description="steepness of the schedule of the gradient reversal")

    def build(self) -> None:
        """Create the discriminator."""
        self.discriminator = Discriminator(self.classes, self.hidden)

    def loss(self, step: Step) -> Tensor:
        """Both terms from one forward pass, a scalar."""
        if not self.weight:
            return self.supervised(step)
        source_BD, target_BD = self.net.features(step.source.x, step.target)
        task = F.cross_entropy(self.net.head(source_BD), step.source.y)
        features_BD = concatenated(self.positive_features(source_BD, step.source.y), target_BD)
        softmax_BC = self.net.head(features_BD).float().softmax(dim=1)
        logits_B = self.discriminator(reverse_gradient(softmax_BC, reversal_schedule(step.progress, self.gamma)))
        return task + self.weight * domain_loss(logits_B, len(source_BD))

    def positive_features(self, source_BD: Tensor, y: Tensor) -> Tensor:
        """Features (B, D) of samples with labels (B,) -> what the head's weights take of them, of the same norms (B, D)."""
        weighted_BD = source_BD * self.net.head.weight.detach()[y]
        squared_B, weighted_B = (x.square().sum(dim=1, keepdim=True) for x in (source_BD, weighted_BD))
        return weighted_BD * (squared_B / weighted_B.clamp_min(1e-12)).clamp_min(1e-12).sqrt()
