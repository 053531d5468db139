"""MMD between sources: features whose maximum mean discrepancy is small between all pairs of sources.

Li, Pan, Wang and Kot, Domain generalization with adversarial feature learning, CVPR 2018.
https://doi.org/10.1109/CVPR.2018.00566
"""

from __future__ import annotations

import torch
from pydantic import Field
from torch import Tensor

from tlbench.methods.base import DeepMethod
from tlbench.methods.domain_generalization._risks import mean_over_pairs, mean_over_sources
from tlbench.methods.multi_source._sources import source_shares
from tlbench.nn.distances import squared_distances
from tlbench.terms import Step

RATES = (0.001, 0.01, 0.1, 1.0, 10.0, 100.0, 1000.0)
"""The kernel is the sum of exp(-rate * squared distance), as in DomainBed."""


class MMDGeneralization(DeepMethod):
    """Mean risk of the sources + weight * mean over pairs of sources of MMD^2 of the backbone's features (V-statistic).

    It is DomainBed's form, without the autoencoder and the prior of the paper. With one source there is no pair: it is
    `source_only`.
    """

    reads = frozenset({"source"})
    soft_labels = True
    weight: float = Field(1.0, ge=0, description="of the distances between sources")

    def loss(self, step: Step) -> Tensor:
        """Both terms from one forward pass, a scalar."""
        if not self.weight or self.source_count == 1:
            return self.supervised(step)
        shares_SB = source_shares(step.source, self.source_count)
        features_BD = self.net.backbone(step.source.x)
        risk_S = shares_SB @ self.criterion(self.net.head(features_BD), step.source.y, "none")
        return mean_over_sources(risk_S, shares_SB) + self.weight * self.distance(features_BD, shares_SB)

    def distance(self, features_BD: Tensor, shares_SB: Tensor) -> Tensor:
        """The mean squared MMD between the sources of features (B, D), a scalar."""
        # rounding leaves distances of samples to themselves, which the narrowest kernel would see
        squared_BB = squared_distances(features_BD) * (1 - torch.eye(len(features_BD), device=features_BD.device))
        kernel_BB = torch.stack([(-rate * squared_BB).exp() for rate in RATES]).sum(dim=0)
        means_SS = shares_SB @ kernel_BB @ shares_SB.T
        own_S = means_SS.diagonal()
        return mean_over_pairs(own_S[:, None] + own_S - 2 * means_SS, shares_SB)
