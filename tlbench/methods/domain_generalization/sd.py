"""Spectral decoupling: a penalty on the logits, against features that starve the gradient of the others.

Pezeshki et al., Gradient starvation: a learning proclivity in neural networks, NeurIPS 2021. https://arxiv.org/abs/2011.09468
"""

from __future__ import annotations

from pydantic import Field
from torch import Tensor

from tlbench.methods.base import DeepMethod
from tlbench.terms import Step


class SpectralDecoupling(DeepMethod):
    """CE(source) + weight * mean of the squared logits, over samples and classes. Sources are not told apart."""

    reads = frozenset({"source"})
    soft_labels = True
    weight: float = Field(0.1, ge=0, description="of the penalty on the logits")

    def loss(self, step: Step) -> Tensor:
        """Both terms, a scalar."""
        logits_BC = self.net(step.source.x)
        return self.criterion(logits_BC, step.source.y) + self.weight * logits_BC.square().mean()
