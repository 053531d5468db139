"""Target only: train on the granted labelled target rows alone. What transfer from a source must beat to be worth it."""

from __future__ import annotations

from torch import Tensor

from tlbench.methods.base import DeepMethod
from tlbench.terms import Step


class TargetOnly(DeepMethod):
    """Cross-entropy on the few labelled target rows."""

    reads = frozenset({"target_labeled"})
    tasks = frozenset({"classification", "regression"})

    def loss(self, step: Step) -> Tensor:
        """CE(few)."""
        return self.criterion(self.net(step.target_labeled.x), step.target_labeled.y)
