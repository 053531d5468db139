"""From scratch: train a fresh network, without pre-trained weights, on the granted labelled target samples alone.

He, Girshick and Dollár, Rethinking ImageNet pre-training, ICCV 2019. https://arxiv.org/abs/1811.08883
"""

from __future__ import annotations

from torch import Tensor

from tlbench.methods.base import DeepMethod
from tlbench.terms import Step


class FromScratch(DeepMethod):
    """`target_only` on the suite's backbone without its pre-trained weights.

    The difference to `target_only` is the gain of pre-training, and that of other methods to `target_only` the gain of transfer
    from the source. Where the suite names no weights, both are the same.
    """

    reads = frozenset({"target_labeled"})
    soft_labels = True
    tasks = frozenset({"classification", "regression"})
    pretrained = False

    def loss(self, step: Step) -> Tensor:
        """CE(labelled target samples), a scalar."""
        return self.criterion(self.net(step.target_labeled.x), step.target_labeled.y)
