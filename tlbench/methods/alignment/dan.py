"""DAN: make the features of the two domains equal in a multi-kernel maximum mean discrepancy.

Long, Cao, Wang and Jordan, Learning transferable features with deep adaptation networks, ICML 2015.
https://arxiv.org/abs/1502.02791
"""

from __future__ import annotations

from pydantic import Field
from torch import Tensor

from tlbench.methods.base import DeepMethod
from tlbench.nn import distances
from tlbench.terms import Step


class DAN(DeepMethod):
    """CE(source) + weight * MMD^2 of the backbone's features, V-statistic, equal kernel weights (the paper learns them)."""

    reads = frozenset({"source", "target"})
    soft_labels = True
    tasks = frozenset({"classification", "regression"})
    version = 2
    weight: float = Field(1.0, ge=0, description="of the MMD term")
    kernels: int = Field(5, ge=1, description="Gaussian kernels, each twice as wide as the one before")

    def loss(self, step: Step) -> Tensor:
        """Both terms from one forward."""
        if not self.weight:
            return self.supervised(step)
        source_BD, target_BD = self.net.features(step.source.x, step.target)
        task = self.criterion(self.net.head(source_BD), step.source.y)
        return task + self.weight * distances.mmd(source_BD, target_BD, self.kernels)
