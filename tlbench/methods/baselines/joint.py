"""Joint training: source rows and the granted labelled target rows together, one head."""

from __future__ import annotations

from pydantic import Field
from torch import Tensor

from tlbench.methods.base import DeepMethod
from tlbench.terms import Step


class Joint(DeepMethod):
    """CE(source) + few_weight * CE(few), from batches of equal size."""

    reads = frozenset({"source", "target_labeled"})
    tasks = frozenset({"classification", "regression"})
    target_weight: float = Field(1.0, gt=0, description="how much the mean loss of the few counts beside the source's")

    def loss(self, step: Step) -> Tensor:
        """Both cross-entropies from one forward."""
        source_BD, few_BD = self.net.features(step.source.x, step.target_labeled.x)
        source, few = self.net.head(source_BD), self.net.head(few_BD)
        return self.criterion(source, step.source.y) + self.target_weight * self.criterion(few, step.target_labeled.y)
