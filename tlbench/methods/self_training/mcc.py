"""MCC: minimum class confusion, a loss on pairs of classes that the predictions on the target mix up.

Jin, Wang, Long and Wang, Minimum class confusion for versatile domain adaptation, ECCV 2020. https://arxiv.org/abs/1912.03699
"""

from __future__ import annotations

import torch.nn.functional as F
from pydantic import Field
from torch import Tensor

from tlbench.methods.base import DeepMethod
from tlbench.nn import distances
from tlbench.terms import Step


class MCC(DeepMethod):
    """CE(source) + weight * class confusion of the predictions on the target, softened by a temperature."""

    reads = frozenset({"source", "target"})
    soft_labels = True
    weight: float = Field(1.0, ge=0, description="of the confusion")
    temperature: float = Field(2.5, gt=0, description="by which logits are divided before the confusion is measured")

    def loss(self, step: Step) -> Tensor:
        """The sum of both terms, a scalar; both come from one forward pass."""
        if not self.weight:
            return self.supervised(step)
        source_BD, target_BD = self.net.features(step.source.x, step.target)
        task = F.cross_entropy(self.net.head(source_BD), step.source.y)
        return task + self.weight * distances.confusion(self.net.head(target_BD), self.temperature)
