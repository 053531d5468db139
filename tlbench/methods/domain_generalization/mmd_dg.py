"""MMD between sources: features whose maximum mean discrepancy is small between all pairs of sources.

Li, Pan, Wang and Kot, Domain generalization with adversarial feature learning, CVPR 2018.
https://doi.org/10.1109/CVPR.2018.00566
"""

from __future__ import annotations

import torch
from torch import Tensor

from tlbench.methods.domain_generalization._losses import SourceDistanceMethod
from tlbench.methods.domain_generalization._risks import mean_over_pairs
from tlbench.nn.distances import squared_distances

RATES = (0.001, 0.01, 0.1, 1.0, 10.0, 100.0, 1000.0)
"""The kernel is the sum of exp(-rate * squared distance), as in DomainBed."""


class MMDGeneralization(SourceDistanceMethod):
    """Mean risk of the sources + weight * mean over pairs of sources of MMD^2 of the backbone's features (V-statistic).

    It is DomainBed's form, without the autoencoder and the prior of the paper. With one source there is no pair: it is
    `source_only`.
    """

    def distance(self, features_BD: Tensor, shares_SB: Tensor) -> Tensor:
        """The mean squared MMD between the sources of features (B, D), a scalar."""
        # rounding leaves distances of samples to themselves, which the narrowest kernel would see
        squared_BB = squared_distances(features_BD) * (1 - torch.eye(len(features_BD), device=features_BD.device))
        kernel_BB = torch.stack([(-rate * squared_BB).exp() for rate in RATES]).sum(dim=0)
        means_SS = shares_SB @ kernel_BB @ shares_SB.T
        own_S = means_SS.diagonal()
        return mean_over_pairs(own_S[:, None] + own_S - 2 * means_SS, shares_SB)
