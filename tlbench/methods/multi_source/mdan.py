"""MDAN: adversarial adaptation from several sources, in which a soft maximum weighs those of the largest losses most.

Zhao, Zhang, Wu, Moura, Costeira and Gordon, Adversarial multiple source domain adaptation, NeurIPS 2018.
https://arxiv.org/abs/1705.09684
"""

from __future__ import annotations

import torch
from pydantic import Field
from torch import Tensor

from tlbench.methods.multi_source._adversaries import SourceAdversaries
from tlbench.terms import Step


class MDAN(SourceAdversaries):
    """Log of the sum over sources of exp(sharpness * loss), over the sharpness; loss is CE + domain_weight * domain loss.

    With one source it is DANN with a linear discriminator and without a schedule.
    """

    sharpness: float = Field(10.0, gt=0, description="of the soft maximum over the sources")

    def loss(self, step: Step) -> Tensor:
        """The soft maximum, a scalar; sources without a sample in the batch are left out."""
        loss_S, present_S = self.losses(step)
        return (self.sharpness * loss_S).masked_fill(~present_S, -torch.inf).logsumexp(dim=0) / self.sharpness
