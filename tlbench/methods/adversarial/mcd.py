"""MCD: two heads maximise their discrepancy on the target, and the backbone minimises it.

Saito et al., Maximum classifier discrepancy for unsupervised domain adaptation, CVPR 2018. https://arxiv.org/abs/1712.02560
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor
from torch.nn.modules.batchnorm import _BatchNorm

from tlbench.methods.base import AlternatingUpdate, DeepMethod, Phase
from tlbench.terms import Step


class MCD(DeepMethod):
    """Three updates a step: A trains all on the source, B raises the heads' discrepancy, C lowers it through the backbone.

    The discrepancy is the mean over samples and classes of |p1 - p2|, in [0, 2 / C]. Predictions sum both heads' logits.
    """

    version = 2
    reads = frozenset({"source", "target"})
    soft_labels = True
    weight: float = Field(1.0, ge=0, description="of the discrepancy in B and C")
    repeat: int = Field(4, ge=1, description="how often C is made after B in each step")

    def build(self) -> None:
        """Create the second head, with other weights than the first: from equal ones the discrepancy would stay 0."""
        self.second = self.net.new_head()
        self.has_batch_norm = any(isinstance(module, _BatchNorm) for module in self.net.modules())

    def phases(self) -> tuple[Phase, ...]:
        """The alternating updates A, B and C; at weight 0 the baseline."""
        if not self.weight:
            return (Phase(self.supervised, self.reads),)
        heads = (self.net.head, self.second)
        updates = (
            AlternatingUpdate(self.learn),
            AlternatingUpdate(self.disagree, heads),
            AlternatingUpdate(self.agree, (self.net.backbone,), self.repeat),
        )
        return (Phase(updates, self.reads),)

    def learn(self, step: Step) -> Tensor:
        """Update A: the sum of both heads' cross-entropies on the source, a scalar."""
        source_BD = self.net.backbone(step.source.x)
        return sum_of_losses(self.net.head(source_BD), self.second(source_BD), step.source.y)

    def disagree(self, step: Step) -> Tensor:
        """Update B: cross-entropies on the source minus the discrepancy on the target, a scalar; the features are fixed.

        Each domain has batch statistics of its own, as in A and C; a backbone without them takes both in one forward pass.
        """
        with torch.no_grad():
            batches = (step.source.x, step.target)
            source_BD, target_BD = map(self.net.backbone, batches) if self.has_batch_norm else self.net.features(*batches)
        task = sum_of_losses(self.net.head(source_BD), self.second(source_BD), step.source.y)
        return task - self.weight * self.discrepancy(target_BD)

    def agree(self, step: Step) -> Tensor:
        """Update C: the discrepancy on the target, a scalar, with a gradient to the backbone."""
        return self.weight * self.discrepancy(self.net.backbone(step.target))

    def discrepancy(self, target_BD: Tensor) -> Tensor:
        """Features (B, D) -> the mean absolute difference of the two heads' softmax, a scalar."""
        return (self.net.head(target_BD).softmax(dim=1) - self.second(target_BD).softmax(dim=1)).abs().mean()

    def predict(self, x: Tensor) -> Tensor:
        """The sum of both heads' logits (B, C); at weight 0 those of the first head, the only one that was trained."""
        features_BD = self.net.backbone(x)
        logits: Tensor = self.net.head(features_BD)
        return logits + self.second(features_BD) if self.weight else logits


def sum_of_losses(first: Tensor, second: Tensor, y: Tensor) -> Tensor:
    """The sum of the cross-entropies of two heads' logits (B, C) and the labels (B,), a scalar."""
    return F.cross_entropy(first, y) + F.cross_entropy(second, y)
