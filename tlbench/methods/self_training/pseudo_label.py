"""Pseudo-labels: the classes that the network itself predicts on the target, as labels with a growing weight.

Lee, Pseudo-label: the simple and efficient semi-supervised learning method for deep neural networks, ICML workshop 2013.
https://www.researchgate.net/publication/280581078
"""

from __future__ import annotations

import torch.nn.functional as F
from pydantic import Field
from torch import Tensor

from tlbench.methods.base import DeepMethod
from tlbench.terms import Step


class PseudoLabel(DeepMethod):
    """CE(source) + weight * progress * mean over target samples of [max p > threshold] CE(argmax p).

    The mean is over all samples of the batch. The paper has no threshold, and its weight rises to 3 between two epochs; here it
    rises over the whole training. At threshold 1 nothing is ever labelled.
    """

    reads = frozenset({"source", "target"})
    soft_labels = True
    weight: float = Field(3.0, ge=0, description="of the loss on pseudo-labels at the end of the training")
    threshold: float = Field(0.0, ge=0, le=1, description="confidence above which a prediction becomes a pseudo-label")

    def loss(self, step: Step) -> Tensor:
        """The sum of both terms, a scalar; both come from one forward pass."""
        if not self.weight or self.threshold == 1:
            return self.supervised(step)
        source_BD, target_BD = self.net.features(step.source.x, step.target)
        task = F.cross_entropy(self.net.head(source_BD), step.source.y)
        return task + self.weight * step.progress * self.self_training_loss(self.net.head(target_BD))

    def self_training_loss(self, logits_BC: Tensor) -> Tensor:
        """Logits (B, C) of target samples -> the cross-entropy on their own pseudo-labels, a scalar."""
        confidence_B, label_B = logits_BC.detach().float().softmax(dim=1).max(dim=1)
        losses_B = F.cross_entropy(logits_BC, label_B, reduction="none")
        return ((confidence_B > self.threshold) * losses_B).mean()
