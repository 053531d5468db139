"""CDAN: DANN whose discriminator sees features and predictions jointly, so that domains are aligned class by class.

Long, Cao, Wang and Jordan, Conditional adversarial domain adaptation, NeurIPS 2018. https://arxiv.org/abs/1705.10667
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


class CDAN(DeepMethod):
    """CE(source) + weight * BCE(d(R_k(features x softmax)), domain); no gradient flows through the softmax.

    Where the product has more than `widest` columns, the discriminator sees the randomised map of equation 6 instead, whose
    matrices are drawn from the run's seed.
    """

    reads = frozenset({"source", "target"})
    soft_labels = True
    weight: float = Field(1.0, ge=0, description="of the domain loss")
    hidden: int = Field(256, ge=1, description="width of the discriminator's two hidden layers")
    gamma: float = Field(10.0, gt=0, description="steepness of the schedule of the gradient reversal")
    entropy: bool = Field(False, description="CDAN+E: samples that are predicted with confidence count more")
    map_features: Tensor
    map_shares: Tensor
    widest: int = Field(4096, ge=1, description="columns of the full product, at most")
    random_width: int = Field(1024, ge=1, description="columns of the randomised map")

    def build(self) -> None:
        """Create the discriminator, and the random maps where the product would be too wide."""
        width = self.net.backbone.width
        self.is_random = width * self.classes > self.widest
        self.register_buffer("map_features", torch.randn(width, self.random_width) if self.is_random else None)
        self.register_buffer("map_shares", torch.randn(self.classes, self.random_width) if self.is_random else None)
        self.discriminator = Discriminator(self.random_width if self.is_random else width * self.classes, self.hidden)

    def condition(self, features_BD: Tensor, softmax_BC: Tensor) -> Tensor:
        """Features (B, D), predictions (B, C) -> outer products (B, C * D), or their randomised map (B, random_width)."""
        if self.is_random:
            return (features_BD @ self.map_features) * (softmax_BC @ self.map_shares) / self.random_width**0.5
        return (softmax_BC[:, :, None] * features_BD[:, None, :]).flatten(1)

    def loss(self, step: Step) -> Tensor:
        """Cross-entropy on the source and domain loss, a scalar; both come from one forward pass."""
        if not self.weight:
            return self.supervised(step)
        features_BD = concatenated(*self.net.features(step.source.x, step.target))
        logits_BC = self.net.head(features_BD)
        n = len(step.source.y)
        softmax_BC = logits_BC.detach().float().softmax(dim=1)
        conditioned = self.condition(reverse_gradient(features_BD, reversal_schedule(step.progress, self.gamma)), softmax_BC)
        domain = self.discriminator(conditioned)
        is_source = torch.cat([domain.new_ones(n), domain.new_zeros(len(domain) - n)])
        losses = F.binary_cross_entropy_with_logits(domain, is_source, reduction="none")
        if self.entropy:
            weight = 1 + (softmax_BC * softmax_BC.clamp_min(1e-12).log()).sum(dim=1).exp()
            adapt = sum((w * loss).sum() / w.sum() for w, loss in ((weight[:n], losses[:n]), (weight[n:], losses[n:]))) / 2
        else:
            adapt = losses.mean()
        return F.cross_entropy(logits_BC[:n], step.source.y) + self.weight * adapt
