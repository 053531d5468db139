"""CORAL between sources: features whose means and covariances are equal in all sources.

Sun and Saenko, Deep CORAL: correlation alignment for deep domain adaptation, ECCV workshops 2016.
https://arxiv.org/abs/1607.01719
Gulrajani and Lopez-Paz, In search of lost domain generalization, ICLR 2021. https://arxiv.org/abs/2007.01434
"""

from __future__ import annotations

import torch
from pydantic import Field
from torch import Tensor

from tlbench.methods.base import DeepMethod
from tlbench.methods.domain_generalization._risks import mean_over_pairs, mean_over_sources
from tlbench.methods.multi_source._sources import source_shares
from tlbench.terms import Step


class CORALGeneralization(DeepMethod):
    """Mean risk of the sources + weight * mean over pairs of the mean squared differences of means and of covariances.

    It is DomainBed's form, which compares means as well. With one source there is no pair: it is `source_only`.
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
