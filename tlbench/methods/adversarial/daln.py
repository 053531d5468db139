"""DALN: the classifier itself is the critic, by the nuclear norms of its predictions on the two domains.

Chen et al., Reusing the task-specific classifier as a discriminator: discriminator-free adversarial domain adaptation,
CVPR 2022. https://arxiv.org/abs/2204.03838
"""

from __future__ import annotations

import torch.nn.functional as F
from pydantic import Field
from torch import Tensor

from tlbench.methods.base import DeepMethod
from tlbench.nn.gradient_reversal import reversal_schedule, reverse_gradient
from tlbench.nn.net import concatenated
from tlbench.nn.spectral import nuclear_norm
from tlbench.terms import Step


class DALN(DeepMethod):
    """CE(source) - weight * (|P_s|_* - |P_t|_*) / B, with P the softmax (B, C) of the head on R_k(features).

    The head raises this nuclear-norm Wasserstein discrepancy, the features lower it. Batches of both domains are to be of one
    size; each norm is divided by the size of its batch.
    """

    reads = frozenset({"source", "target"})
    soft_labels = True
    weight: float = Field(1.0, ge=0, description="of the discrepancy")
    gamma: float = Field(10.0, gt=0, description="steepness of the schedule of the gradient reversal")

    def loss(self, step: Step) -> Tensor:
        """Both terms from one forward pass, a scalar."""
        if not self.weight:
            return self.supervised(step)
        source_BD, target_BD = self.net.features(step.source.x, step.target)
        task = F.cross_entropy(self.net.head(source_BD), step.source.y)
        features_BD = reverse_gradient(concatenated(source_BD, target_BD), reversal_schedule(step.progress, self.gamma))
        logits_BC, n = self.net.head(features_BD), len(source_BD)
        return task - self.weight * self.discrepancy(logits_BC[:n], logits_BC[n:])

    def discrepancy(self, source_BC: Tensor, target_BC: Tensor) -> Tensor:
        """Logits (B, C) and (B', C) -> the difference of the nuclear norms of the predictions, a scalar."""
        source, target = (nuclear_norm(x.float().softmax(dim=1)) / len(x) for x in (source_BC, target_BC))
        return source - target
