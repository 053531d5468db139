"""CORAL between sources: features whose means and covariances are equal in all sources.

Sun and Saenko, Deep CORAL: correlation alignment for deep domain adaptation, ECCV workshops 2016.
https://arxiv.org/abs/1607.01719
Gulrajani and Lopez-Paz, In search of lost domain generalization, ICLR 2021. https://arxiv.org/abs/2007.01434
"""

from __future__ import annotations

import torch
from torch import Tensor

from tlbench.methods.domain_generalization._losses import SourceDistanceMethod
from tlbench.methods.domain_generalization._risks import mean_over_pairs


class CORALGeneralization(SourceDistanceMethod):
    """Mean risk of the sources + weight * mean over pairs of the mean squared differences of means and of covariances.

    It is DomainBed's form, which compares means as well. With one source there is no pair: it is `source_only`.
    """

    def distance(self, features_BD: Tensor, shares_SB: Tensor) -> Tensor:
        """The mean distance between the sources of features (B, D), a scalar."""
        means_SD = shares_SB @ features_BD
        count_S = (shares_SB > 0).sum(dim=1)
        centred_SBD = features_BD - means_SD[:, None]
        scale_S = count_S / (count_S - 1).clamp_min(1)
        covariance_SDD = scale_S[:, None, None] * (centred_SBD * shares_SB[:, :, None]).mT @ centred_SBD
        distances_S = [
            (means_SD - mean_D).square().mean(dim=1) + (covariance_SDD - covariance_DD).square().mean(dim=(1, 2))
            for mean_D, covariance_DD in zip(means_SD, covariance_SDD, strict=True)
        ]
        return mean_over_pairs(torch.stack(distances_S), shares_SB)
