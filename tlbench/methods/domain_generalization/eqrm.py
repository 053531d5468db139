"""EQRM: a quantile of the distribution of the sources' risks is minimised, so that most domains are served.

Eastwood et al., Probable domain generalization via quantile risk minimization, NeurIPS 2022. https://arxiv.org/abs/2207.09944
"""

from __future__ import annotations

from statistics import NormalDist

import torch
from pydantic import Field
from torch import Tensor

from tlbench.methods.base import Group, Phase
from tlbench.methods.domain_generalization._losses import WarmUpMethod
from tlbench.methods.domain_generalization._risks import is_present, mean_over_sources
from tlbench.methods.multi_source._sources import source_shares
from tlbench.terms import Step

BISECTIONS = 32
"""Steps of the bisection, as in the authors' code."""


class EQRM(WarmUpMethod):
    """The quantile of a kernel density of the sources' risks, whose width is 1.06 std S^(-1/5); before that, their mean.

    The quantile is bisected between those of Gaussians about the smallest and the largest risk. As in the authors' code, the
    gradient reaches these two and the width, and the position between them counts as constant. A batch with samples of one
    source alone has its risk; with one source it is `source_only` with two optimizers, one after the other.
    """

    quantile: float = Field(0.75, gt=0, lt=1, description="of the distribution of risks that is minimised")
    warm_up: float = Field(0.5, ge=0, lt=1, description="share of the steps on the mean risk; DomainBed: 2,500 of 5,000")
    rate_scale: float = Field(0.02, gt=0, description="of the learning rate after the warm-up; DomainBed: 1e-6 after 5e-5")

    def phases(self) -> tuple[Phase, ...]:
        """The mean risk, and then the quantile at a smaller rate."""
        last = Phase(self.loss, self.reads, 1 - self.warm_up, (Group((self.net,), self.rate_scale),))
        return (Phase(self.warm_up_loss, self.reads, self.warm_up), last) if self.warm_up else (last,)

    def warm_up_loss(self, step: Step) -> Tensor:
        """The mean risk, a scalar."""
        return mean_over_sources(*self.risks(step))

    def loss(self, step: Step) -> Tensor:
        """The quantile of the risks, a scalar."""
        risk_S, shares_SB = self.risks(step)
        return self.risk_quantile(risk_S, is_present(shares_SB))

    def risks(self, step: Step) -> tuple[Tensor, Tensor]:
        """The risk of each source (S,), and the weights (S, B) of its samples."""
        shares_SB = source_shares(step.source, self.source_count)
        return shares_SB @ self.criterion(self.net(step.source.x), step.source.y, "none"), shares_SB

    def risk_quantile(self, risk_S: Tensor, present_S: Tensor) -> Tensor:
        """The quantile, a scalar, of the risks (S,) of those sources of which `present_S` (S,) is 1."""
        count, is_absent_S = present_S.sum(), present_S == 0
        variance = (present_S * (risk_S - (present_S * risk_S).sum() / count).square()).sum() / (count - 1).clamp_min(1)
        width = 1.06 * variance.clamp_min(torch.finfo(variance.dtype).tiny).sqrt() * count.pow(-0.2)
        offset = NormalDist().inv_cdf(self.quantile) * width
        low = risk_S.masked_fill(is_absent_S, torch.inf).amin() + offset
        span = risk_S.masked_fill(is_absent_S, -torch.inf).amax() + offset - low
        with torch.no_grad():
            position = torch.full_like(span, 0.5)
            for bisection in range(BISECTIONS):
                below = (present_S * torch.special.ndtr((low + position * span - risk_S) / width)).sum() / count
                position = position + torch.where(below > self.quantile, -1.0, 1.0) * 0.5 ** (bisection + 2)
        return low * (1 - position) + (low + span) * position
