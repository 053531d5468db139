"""Deep CORAL: make the feature covariances of the two domains equal.

Sun and Saenko, Deep CORAL: correlation alignment for deep domain adaptation, ECCV workshops 2016.
https://arxiv.org/abs/1607.01719
"""

from __future__ import annotations

from pydantic import Field
from torch import Tensor

from tlbench.methods.base import DeepMethod
from tlbench.nn import distances
from tlbench.terms import Step


class CORAL(DeepMethod):
    """CE(source) + weight * |Cov_s - Cov_t|^2_F / (4 D^2) on the features of the backbone (the paper takes its last layer)."""

    reads = frozenset({"source", "target"})
    soft_labels = True
    tasks = frozenset({"classification", "regression"})
    weight: float = Field(1.0, ge=0, description="of the CORAL term; D^2 divides it, so that wide features need a large one")

    def loss(self, step: Step) -> Tensor:
        """Both terms from one forward."""
        if not self.weight:
            return self.supervised(step)
        source_BD, target_BD = self.net.features(step.source.x, step.target)
        task = self.criterion(self.net.head(source_BD), step.source.y)
        return task + self.weight * distances.coral(source_BD, target_BD)
