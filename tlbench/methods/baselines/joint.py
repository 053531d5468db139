"""Joint training: one head for the labelled source samples and the granted labelled target samples."""

from __future__ import annotations

from pydantic import Field
from torch import Tensor

from tlbench.methods.base import DeepMethod
from tlbench.terms import Step


class Joint(DeepMethod):
    """CE(source) + target_weight * CE(labelled target samples), from batches of equal size."""

    reads = frozenset({"source", "target_labeled"})
    soft_labels = True
    tasks = frozenset({"classification", "regression"})
    target_weight: float = Field(
        1.0, gt=0, description="of the mean loss on labelled target samples; the source's has weight 1"
    )

    def loss(self, step: Step) -> Tensor:
        """The weighted sum of both losses, a scalar; both come from one forward pass."""
        source_BD, target_BD = self.net.features(step.source.x, step.target_labeled.x)
        source_BC, target_BC = self.net.head(source_BD), self.net.head(target_BD)
        source_loss = self.criterion(source_BC, step.source.y)
        return source_loss + self.target_weight * self.criterion(target_BC, step.target_labeled.y)
