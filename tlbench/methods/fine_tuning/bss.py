"""BSS: batch spectral shrinkage; fine-tuning that suppresses the features of the smallest singular values.

Chen, Wang, Fu, Long and Wang, Catastrophic forgetting meets negative transfer: batch spectral shrinkage for safe transfer
learning, NeurIPS 2019. https://papers.nips.cc/paper/8466
"""

from __future__ import annotations

import torch
from pydantic import Field
from torch import Tensor

from tlbench.methods.source_then_target import SourceThenTarget
from tlbench.terms import Step


class BSS(SourceThenTarget):
    """CE + weight * sum of the k smallest squared singular values of the features (B, D) of a batch.

    A batch that holds a sample twice has fewer singular values above 0 than B: then the k smallest of as many values count as
    there are different samples, for the published term would be 0.
    """

    weight: float = Field(0.001, ge=0, description="of the sum of squared singular values")
    k: int = Field(1, ge=1, description="how many singular values are shrunk")

    def loss(self, step: Step) -> Tensor:
        """The sum of both terms, a scalar."""
        if not self.weight:
            return super().loss(step)
        features_BD = self.net.backbone(step.target_labeled.x)
        task = self.criterion(self.net.head(features_BD), step.target_labeled.y)
        different = 1 + (step.indices["target_labeled"].sort().values.diff() != 0).sum()
        return task + self.weight * smallest_squares(features_BD, self.k, different)


def smallest_squares(features_BD: Tensor, k: int, rank: Tensor) -> Tensor:
    """The sum of the k smallest of the first `rank` () squared singular values of features (B, D), a scalar."""
    values = torch.linalg.svdvals(features_BD.float())
    count = rank.clamp_max(len(values))
    positions = torch.arange(len(values), device=values.device)
    return (values.square() * ((positions >= count - k) & (positions < count))).sum()
