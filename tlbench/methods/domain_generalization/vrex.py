"""V-REx: the risks of the sources are made equal by their variance.

Krueger et al., Out-of-distribution generalization via risk extrapolation (REx), ICML 2021. https://arxiv.org/abs/2003.00688
"""

from __future__ import annotations

from pydantic import Field
from torch import Tensor

from tlbench.methods.domain_generalization._losses import WeightedWarmUp
from tlbench.methods.domain_generalization._risks import mean_over_sources
from tlbench.methods.multi_source._sources import source_shares
from tlbench.terms import Step


class VREx(WeightedWarmUp):
    """Mean risk of the sources + weight * variance of their risks (divided by their number).

    During the warm-up the weight is at most 1. With one source it is `source_only` with two optimizers, one after the other.
    """

    weight: float = Field(10.0, ge=0, description="of the variance after the warm-up")

    def penalized(self, step: Step, weight: float) -> Tensor:
        """The mean plus weight times the variance of the risks, a scalar."""
        shares_SB = source_shares(step.source, self.source_count)
        risk_S = shares_SB @ self.criterion(self.net(step.source.x), step.source.y, "none")
        mean = mean_over_sources(risk_S, shares_SB)
        return mean + weight * mean_over_sources((risk_S - mean).square(), shares_SB)
