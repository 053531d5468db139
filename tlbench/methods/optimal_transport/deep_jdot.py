"""DeepJDOT: in each step a plan pairs source and target samples by features and labels, and its cost is minimised.

Damodaran, Kellenberger, Flamary, Tuia and Courty, DeepJDOT: deep joint distribution optimal transport for unsupervised domain
adaptation, ECCV 2018. https://arxiv.org/abs/1803.10081
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor

from tlbench.methods.base import DeepMethod
from tlbench.terms import Step


class DeepJDOT(DeepMethod):
    """CE(source) + weight * sum_ij G_ij (alpha |f_i - f_j|^2 + label_weight CE(y_i, p_j)), G a plan of little cost.

    The gradient flows through the cost alone. The paper takes the plan of least cost, which is solved on the host; here it has
    a small entropy, and a fixed number of Sinkhorn's iterations find it on the device.
    """

    reads = frozenset({"source", "target"})
    weight: float = Field(1.0, ge=0, description="of the transport cost")
    alpha: float = Field(0.001, ge=0, description="of the squared distance of features")
    label_weight: float = Field(0.0001, ge=0, description="of the cross-entropy of source labels and target predictions")
    entropy: float = Field(0.01, gt=0, description="of the plan, in units of the mean cost")
    iterations: int = Field(50, ge=1, description="of Sinkhorn, in each step")

    def loss(self, step: Step) -> Tensor:
        """Both terms from one forward pass, a scalar."""
        if not self.weight:
            return self.supervised(step)
        source_BD, target_BD = self.net.features(step.source.x, step.target)
        task = F.cross_entropy(self.net.head(source_BD), step.source.y)
        cost_BB = self.cost(source_BD, target_BD, step.source.y, self.net.head(target_BD))
        return task + self.weight * (self.plan(cost_BB.detach()) * cost_BB).sum()

    def plan(self, cost_BB: Tensor) -> Tensor:
        """The plan (B, B') for a cost (B, B'), from an entropy that is halved in each iteration until it is the option's."""
        cost_BB = cost_BB / cost_BB.mean().clamp_min(torch.finfo(cost_BB.dtype).tiny)
        potential = torch.zeros_like(cost_BB[0])
        for iteration in range(self.iterations):
            entropy = max(self.entropy, 0.5**iteration)
            logs_BB = (potential - cost_BB) / entropy
            logs_BB = logs_BB - logs_BB.logsumexp(dim=1, keepdim=True)
            potential = potential - entropy * logs_BB.logsumexp(dim=0)
        return logs_BB.softmax(dim=0) / cost_BB.shape[1]

    def cost(self, source_BD: Tensor, target_BD: Tensor, y: Tensor, target_BC: Tensor) -> Tensor:
        """The cost (B, B') of pairing each source sample with each target sample.

        Args:
            source_BD: features (B, D).
            target_BD: features (B', D).
            y: labels (B,) of the source samples.
            target_BC: logits (B', C) of the target samples.
        """
        source_BD, target_BD = source_BD.float(), target_BD.float()
        products_BB = source_BD @ target_BD.T
        norms_BB = source_BD.square().sum(dim=1)[:, None] + target_BD.square().sum(dim=1)
        labels_BB = -target_BC.float().log_softmax(dim=1).T[y]
        return self.alpha * (norms_BB - 2 * products_BB).clamp_min(0) + self.label_weight * labels_BB
