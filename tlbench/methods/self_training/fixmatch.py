"""FixMatch: confident predictions on a weak view of a target sample are pseudo-labels for a strong view of it.

Sohn et al., FixMatch: simplifying semi-supervised learning with consistency and confidence, NeurIPS 2020.
https://arxiv.org/abs/2001.07685
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor

from tlbench.methods.base import DeepMethod
from tlbench.nn import augmentation
from tlbench.terms import Step


class FixMatch(DeepMethod):
    """CE(source) + weight * mean over target samples of [max q >= threshold] CE(strong view, argmax q), q of the weak view."""

    reads = frozenset({"source", "target"})
    positions = False
    soft_labels = True
    draws_per_sample = True
    weight: float = Field(1.0, ge=0, description="of the loss on pseudo-labelled target samples")
    threshold: float = Field(
        0.95, ge=0, description="confidence from which a prediction becomes a pseudo-label; above 1 none does"
    )

    def loss(self, step: Step) -> Tensor:
        """The sum of both terms, a scalar; source and both views share one forward pass, and the weak view gets no gradient."""
        if not self.weight or self.threshold > 1:
            return self.supervised(step)
        views = (augmentation.weak(step.target), augmentation.strong(step.target))
        source_BD, weak_BD, strong_BD = self.net.features(step.source.x, *views)
        with torch.no_grad():
            confidence_B, label_B = self.net.head(weak_BD).float().softmax(dim=1).max(dim=1)
        losses_B = F.cross_entropy(self.net.head(strong_BD), label_B, reduction="none")
        task = F.cross_entropy(self.net.head(source_BD), step.source.y)
        return task + self.weight * ((confidence_B >= self.threshold) * losses_B).mean()
