"""WDGRL: a critic estimates the Wasserstein distance of the features of the two domains, and the backbone lowers it.

Shen, Qu, Zhang and Yu, Wasserstein distance guided representation learning for domain adaptation, AAAI 2018.
https://arxiv.org/abs/1707.01217
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn

from tlbench.methods.base import AlternatingUpdate, DeepMethod, Phase
from tlbench.terms import Step


class WDGRL(DeepMethod):
    """Each step: `repeat` updates of the critic c, then one of the network on CE(source) + weight * (mean c(s) - mean c(t)).

    The critic maximises mean c(s) - mean c(t) - penalty * mean (|gradient of c| - 1)^2, at the features of both domains and at
    points between a source and a target sample. Batches of both domains are to be of one size.
    """

    reads = frozenset({"source", "target"})
    soft_labels = True
    draws_per_sample = True
    weight: float = Field(1.0, ge=0, description="of the distance, for the network")
    penalty: float = Field(10.0, ge=0, description="of the critic's gradient")
    repeat: int = Field(5, ge=1, description="updates of the critic in each step")
    hidden: int = Field(100, ge=1, description="width of the critic's hidden layer")

    def build(self) -> None:
        """Create the critic; a constant would cancel in the difference of its means."""
        width = self.net.backbone.width
        self.critic = nn.Sequential(nn.Linear(width, self.hidden), nn.ReLU(), nn.Linear(self.hidden, 1, bias=False))

    def phases(self) -> tuple[Phase, ...]:
        """The alternating updates of critic and network; at weight 0 the baseline."""
        if not self.weight:
            return (Phase(self.supervised, self.reads),)
        updates = (
            AlternatingUpdate(self.criticize, (self.critic,), self.repeat),
            AlternatingUpdate(self.loss, (self.net,)),
        )
        return (Phase(updates, self.reads),)

    def criticize(self, step: Step) -> Tensor:
        """Minus the distance, and the gradient penalty, a scalar; the features are fixed."""
        with torch.no_grad():
            source_BD, target_BD = self.net.features(step.source.x, step.target)
        return self.penalty * self.gradient_penalty(source_BD, target_BD) - self.distance(source_BD, target_BD)

    def loss(self, step: Step) -> Tensor:
        """Cross-entropy on the source and the distance, a scalar."""
        source_BD, target_BD = self.net.features(step.source.x, step.target)
        task = F.cross_entropy(self.net.head(source_BD), step.source.y)
        return task + self.weight * self.distance(source_BD, target_BD)

    def distance(self, source_BD: Tensor, target_BD: Tensor) -> Tensor:
        """Features (B, D) and (B', D) -> the critic's estimate of the distance, a scalar; it may be negative."""
        difference: Tensor = self.critic(source_BD).mean() - self.critic(target_BD).mean()
        return difference

    def gradient_penalty(self, source_BD: Tensor, target_BD: Tensor) -> Tensor:
        """Features (B, D) of both domains -> the mean squared distance of the critic's gradient norms from 1, a scalar."""
        size = min(len(source_BD), len(target_BD))
        share = torch.rand(size, 1, device=source_BD.device)
        between_BD = source_BD[:size] + share * (target_BD[:size] - source_BD[:size])
        points = torch.cat([between_BD, source_BD, target_BD]).detach().requires_grad_()
        # a view, for the modules' inputs must be no leaves where the engine counts operations
        (gradients,) = torch.autograd.grad(self.critic(points.view_as(points)).sum(), points, create_graph=True)
        return (gradients.norm(dim=1) - 1).square().mean()
