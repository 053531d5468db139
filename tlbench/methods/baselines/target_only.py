"""Target only: train on the granted labelled target samples alone; the reference without any transfer."""

from __future__ import annotations

from torch import Tensor

from tlbench.methods.base import DeepMethod
from tlbench.terms import Step


class TargetOnly(DeepMethod):
    """Cross-entropy on the labelled target samples; for a regression, the squared error."""

    reads = frozenset({"target_labeled"})
    soft_labels = True
    tasks = frozenset({"classification", "regression"})

    def loss(self, step: Step) -> Tensor:
        """CE(labelled target samples), a scalar."""
        return self.criterion(self.net(step.target_labeled.x), step.target_labeled.y)
