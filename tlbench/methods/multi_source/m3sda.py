"""M3SDA: moments of the features agree between the target and each source, and among the sources; a head for each source.

Peng, Bai, Xia, Huang, Saenko and Wang, Moment matching for multi-source domain adaptation, ICCV 2019.
https://arxiv.org/abs/1812.01754
"""

from __future__ import annotations

import math

import torch
from pydantic import Field
from torch import Tensor, nn

from tlbench.methods.base import DeepMethod
from tlbench.methods.multi_source._sources import source_shares
from tlbench.terms import Step


class M3SDA(DeepMethod):
    """Sum over sources of CE(the source's head) + weight * (mean distance to the target + mean distance among sources).

    A distance is the sum over k of the length of the difference of the means of the features' k-th powers. Predictions are
    means over the heads; the paper weighs them by accuracies that no unlabelled target gives. The second heads of M3SDA-beta
    are left out. With one source it matches the moments of the source and the target.
    """

    reads = frozenset({"source", "target"})
    soft_labels = True
    weight: float = Field(0.01, ge=0, description="of the distances of moments; Dassl: 0.5, the authors' digits: 0.0005")
    moments: int = Field(2, ge=1, description="powers whose means are compared; 5 in the authors' code for digits")

    def build(self) -> None:
        """Create the heads of all sources; the first is the network's."""
        self.heads = nn.ModuleList([self.net.head, *(self.net.new_head() for _ in range(self.source_count - 1))])

    def loss(self, step: Step) -> Tensor:
        """All terms from one forward pass, a scalar."""
        if not self.weight:
            return self.supervised(step)
        source_BD, target_BD = self.net.features(step.source.x, step.target)
        shares_SB = source_shares(step.source, self.source_count)
        losses = [
            (share_B * self.criterion(head(source_BD), step.source.y, "none")).sum()
            for head, share_B in zip(self.heads, shares_SB, strict=True)
        ]
        return torch.stack(losses).sum() + self.weight * self.moment_distance(source_BD, target_BD, shares_SB)

    def moment_distance(self, source_BD: Tensor, target_BD: Tensor, shares_SB: Tensor) -> Tensor:
        """The mean distance of sources (B, D) to the target (B, D) plus that of pairs of sources, a scalar.

        Sources without a sample in the batch, whose weights in `shares_SB` are 0, count nowhere.
        """
        present_S = shares_SB.sum(dim=1).round()
        pairs_SS = (present_S[:, None] * present_S).triu(diagonal=1)
        distance = source_BD.new_zeros(())
        for power in range(1, self.moments + 1):
            means_SD, mean_D = shares_SB @ source_BD.pow(power), target_BD.pow(power).mean(dim=0)
            to_target = (present_S * torch.linalg.vector_norm(means_SD - mean_D, dim=1)).sum() / present_S.sum()
            between_SS = torch.linalg.vector_norm(means_SD[:, None] - means_SD, dim=2)
            distance = distance + to_target + (pairs_SS * between_SS).sum() / pairs_SS.sum().clamp_min(1)
        return distance

    def predict(self, x: Tensor) -> Tensor:
        """The logarithm of the mean softmax of the heads (B, C); at weight 0 the logits of the only head that was trained."""
        if not self.weight:
            return super().predict(x)
        features_BD = self.net.backbone(x)
        logs_SBC = torch.stack([head(features_BD).log_softmax(dim=1) for head in self.heads])
        return logs_SBC.logsumexp(dim=0) - math.log(self.source_count)
