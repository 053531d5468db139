"""FixMatch: confident predictions on a weak view of a target row are labels for a strong view of it.

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
    """CE(source) + weight * mean over all target rows of [max q >= threshold] CE(strong view, argmax q), q of the weak view."""

    reads = frozenset({"source", "target"})
    draws_per_row = True
    weight: float = Field(1.0, ge=0, description="of the pseudo-labelled rows")
    threshold: float = Field(0.95, ge=0, description="confidence from which a prediction is a label; above 1 none is")

    def loss(self, step: Step) -> Tensor:
        """Source and both views in one forward; no gradient reaches the weak one."""
        if not self.weight or self.threshold > 1:
            return self.supervised(step)
        views = (augmentation.weak(step.target), augmentation.strong(step.target))
        source_BD, weak_BD, strong_BD = self.net.features(step.source.x, *views)
        with torch.no_grad():
            sure, label = self.net.head(weak_BD).float().softmax(dim=1).max(dim=1)
        losses = F.cross_entropy(self.net.head(strong_BD), label, reduction="none")
        task = F.cross_entropy(self.net.head(source_BD), step.source.y)
        return task + self.weight * ((sure >= self.threshold) * losses).mean()
