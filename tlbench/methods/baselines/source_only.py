"""Source only: train on the labelled source rows, predict on the target. The baseline of unsupervised adaptation."""

from __future__ import annotations

from torch import Tensor

from tlbench.methods.base import DeepMethod
from tlbench.terms import Step


class SourceOnly(DeepMethod):
    """Cross-entropy on the source rows."""

    reads = frozenset({"source"})
    tasks = frozenset({"classification", "regression"})

    def loss(self, step: Step) -> Tensor:
        """CE(source)."""
        return self.supervised(step)
