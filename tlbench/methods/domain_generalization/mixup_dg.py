"""Mixup between sources: convex combinations of samples of two sources and of their labels.

Wang, Li and Kot, Heterogeneous domain generalization via domain mixup, ICASSP 2020. https://arxiv.org/abs/2009.05448
Zhang, Cisse, Dauphin and Lopez-Paz, mixup: beyond empirical risk minimization, ICLR 2018. https://arxiv.org/abs/1710.09412
"""

from __future__ import annotations

import torch
from pydantic import Field
from torch import Tensor

from tlbench.methods.base import DeepMethod
from tlbench.methods.domain_generalization._risks import mean_over_sources
from tlbench.methods.multi_source._sources import source_shares
from tlbench.terms import Step


class MixupGeneralization(DeepMethod):
    """Mean over sources of share * CE(y) + (1 - share) * CE(y of the partner), of share * x + (1 - share) * x of the partner.

    The sources stand in a circle of random order, and the partner of a sample is a random one of the next source that has
    samples in the batch. A source has one share of each step, from Beta(alpha, alpha). With one source, partners are of the
    same source, as in mixup.
    """

    reads = frozenset({"source"})
    positions = False
    soft_labels = True
    draws_per_sample = True
    alpha: float = Field(0.2, gt=0, description="of the Beta distribution of the shares; a small one mixes little")

    def loss(self, step: Step) -> Tensor:
        """The loss of one draw of partners and shares, a scalar."""
        shares_SB = source_shares(step.source, self.source_count)
        alpha_S = shares_SB.new_full((self.source_count,), self.alpha)
        ratio_S = torch.distributions.Beta(alpha_S, alpha_S, validate_args=False).sample()
        return self.mixed_loss(step, shares_SB, self.draw_partners(shares_SB), ratio_S)

    def draw_partners(self, shares_SB: Tensor) -> Tensor:
        """The index (B,) of the partner of each sample."""
        count, samples = shares_SB.shape
        order_S = torch.rand(count, device=shares_SB.device).argsort().argsort()
        order_B = order_S[shares_SB.argmax(dim=0)]
        ahead_BB = (order_B - order_B[:, None] - 1) % count  # 0: of the next source, count - 1: of the same source
        return (ahead_BB + torch.rand(samples, samples, device=shares_SB.device)).argmin(dim=1)

    def mixed_loss(self, step: Step, shares_SB: Tensor, partner_B: Tensor, ratio_S: Tensor) -> Tensor:
        """The loss of given partners and shares, a scalar.

        Args:
            step: the samples.
            shares_SB: the weights (S, B) of the samples in the mean of their source.
            partner_B: the index (B,) of the partner of each sample.
            ratio_S: the share (S,) of the own samples in the mixed ones, for each source.
        """
        x, y = step.source.x, step.source.y
        ratio_B = ratio_S[shares_SB.argmax(dim=0)]
        ratio_of_x = ratio_B.view(-1, *[1] * (x.ndim - 1))
        logits_BC = self.net(ratio_of_x * x + (1 - ratio_of_x) * x[partner_B])
        own_B, other_B = self.criterion(logits_BC, y, "none"), self.criterion(logits_BC, y[partner_B], "none")
        return mean_over_sources(shares_SB @ (ratio_B * own_B + (1 - ratio_B) * other_B), shares_SB)
