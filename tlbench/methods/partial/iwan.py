"""IWAN: DANN whose source samples count by how much a first discriminator takes them for samples of the target.

Zhang, Ding, Li and Ogunbona, Importance weighted adversarial nets for partial domain adaptation, CVPR 2018.
https://arxiv.org/abs/1803.09210
"""

from __future__ import annotations

import torch.nn.functional as F
from pydantic import Field
from torch import Tensor

from tlbench.methods.base import DeepMethod
from tlbench.nn.entropy import entropy
from tlbench.nn.gradient_reversal import reversal_schedule, reverse_gradient
from tlbench.nn.heads import Discriminator, domain_loss
from tlbench.nn.net import concatenated
from tlbench.terms import Step


class IWAN(DeepMethod):
    """CE(source) + weight * (1.5 BCE(d(features)) + weighted BCE(d0(R_k(features)))) + entropy_weight * H(target).

    A source sample weighs 1 - d(features) over its mean in the batch. No gradient reaches the features through d or weights.
    One backbone for both domains, and the default weights, as in the Transfer Learning Library; the paper has one for each.
    """

    reads = frozenset({"source", "target"})
    label_sets = frozenset({"closed", "partial"})
    weight: float = Field(3.0, ge=0, description="of both domain losses; 0 switches off the entropy, too")
    entropy_weight: float = Field(0.1, ge=0, description="of the entropy of the target's predictions")
    hidden: int = Field(256, ge=0, description="width of the discriminators' two hidden layers; 0: logistic regressions")
    gamma: float = Field(10.0, gt=0, description="steepness of the schedule of the gradient reversal")

    def build(self) -> None:
        """Create the discriminator of the weights and that of the domain loss."""
        self.weighing = Discriminator(self.net.backbone.width, self.hidden)
        self.discriminator = Discriminator(self.net.backbone.width, self.hidden)

    def loss(self, step: Step) -> Tensor:
        """The sum of all terms, a scalar."""
        if not self.weight:
            return self.supervised(step)
        source_BD, target_BD = self.net.features(step.source.x, step.target)
        features_BD, size = concatenated(source_BD, target_BD), len(source_BD)
        task = F.cross_entropy(self.net.head(source_BD), step.source.y)
        first = self.weighing(features_BD.detach())
        reversed_BD = reverse_gradient(features_BD, reversal_schedule(step.progress, self.gamma))
        domain = self.weighted_domain_loss(self.discriminator(reversed_BD), self.sample_weights(first[:size]))
        unsure = entropy(self.net.head(target_BD)).mean()
        return task + self.weight * (1.5 * domain_loss(first, size) + domain) + self.entropy_weight * unsure

    def sample_weights(self, logits_B: Tensor) -> Tensor:
        """Logits (B,) of source samples by the first discriminator -> their weights (B,), constants of mean 1."""
        is_target_B = (-logits_B.detach().float()).sigmoid()
        return is_target_B / (is_target_B.mean() + 1e-5)

    def weighted_domain_loss(self, logits: Tensor, weight_B: Tensor) -> Tensor:
        """Logits of B source samples and all target samples, and weights (B,) -> the mean of both domains' losses, a scalar."""
        source, target = logits[: len(weight_B)], logits[len(weight_B) :]
        return 0.5 * ((weight_B * F.softplus(-source)).mean() + F.softplus(target).mean())
