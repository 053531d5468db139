"""Joint training: source rows and the granted labelled target rows together, one head."""

from __future__ import annotations

from pydantic import Field
from torch import Tensor

from tlbench.methods.base import Trained
from tlbench.terms import Step


class Joint(Trained):
    """CE(source) + few_weight * CE(few), from batches of equal size."""

    reads = frozenset({"source", "few"})
    tasks = frozenset({"classification", "regression"})
    few_weight: float = Field(1.0, gt=0, description="how much the mean loss of the few counts beside the source's")

    def loss(self, step: Step) -> Tensor:
        """Both cross-entropies from one forward."""
        source_BD, few_BD = self.net.features(step.source.x, step.few.x)
        source, few = self.net.head(source_BD), self.net.head(few_BD)
        return self.criterion(source, step.source.y) + self.few_weight * self.criterion(few, step.few.y)
