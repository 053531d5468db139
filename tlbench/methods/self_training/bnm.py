"""BNM: the nuclear norm of the batch of predictions on the target grows, which makes them confident and diverse.

Cui et al., Towards discriminability and diversity: batch nuclear-norm maximization under label insufficient situations,
CVPR 2020. https://arxiv.org/abs/2003.12237
"""

from __future__ import annotations

import torch.nn.functional as F
from pydantic import Field
from torch import Tensor

from tlbench.methods.base import DeepMethod
from tlbench.nn.spectral import nuclear_norm
from tlbench.terms import Step


class BNM(DeepMethod):
    """CE(source) - weight / B * nuclear norm of the softmax (B, C) on the target batch of B samples.

    The norm lies between sqrt(B / C) and sqrt(B min(B, C)); it needs batches of several times C samples.
    """

    reads = frozenset({"source", "target"})
    soft_labels = True
    weight: float = Field(1.0, ge=0, description="of the nuclear norm")

    def loss(self, step: Step) -> Tensor:
        """The sum of both terms, a scalar; both come from one forward pass."""
        if not self.weight:
            return self.supervised(step)
        source_BD, target_BD = self.net.features(step.source.x, step.target)
        task = F.cross_entropy(self.net.head(source_BD), step.source.y)
        softmax_BC = self.net.head(target_BD).float().softmax(dim=1)
        return task - self.weight / len(target_BD) * nuclear_norm(softmax_BC)
