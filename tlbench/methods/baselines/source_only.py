"""Source only: train on the labelled source samples, predict the target; the baseline of unsupervised adaptation."""

from __future__ import annotations

from torch import Tensor

from tlbench.methods.base import DeepMethod
from tlbench.terms import Step


class SourceOnly(DeepMethod):
    """Cross-entropy on the source samples; for a regression, the squared error."""

    reads = frozenset({"source"})
    soft_labels = True
    tasks = frozenset({"classification", "regression"})

    def loss(self, step: Step) -> Tensor:
        """CE(source), a scalar."""
        return self.supervised(step)
