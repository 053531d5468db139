"""DARN: adversarial adaptation from several sources, weighted by how similar to the target they are.

Wen, Greiner and Schuurmans, Domain aggregation networks for multi-source domain adaptation, ICML 2020.
https://arxiv.org/abs/1909.05352
"""

from __future__ import annotations

import torch
from pydantic import Field
from torch import Tensor

from tlbench.methods.multi_source._adversaries import SourceAdversaries
from tlbench.terms import Step


class DARN(SourceAdversaries):
    """The least <weights, sharpness * losses> + |weights| over all weights of sum 1; loss is CE + domain_weight * domain loss.

    A large sharpness gives the weight to the sources of the least losses, a small one nearly equal weights to all. With one
    source it is DANN with a linear discriminator and without a schedule.
    """

    sharpness: float = Field(1.0, gt=0, description="of the weights")

    def loss(self, step: Step) -> Tensor:
        """The weighted loss, a scalar; sources without a sample in the batch have the weight 0."""
        loss_S, present_S = self.losses(step)
        loss_S = self.sharpness * loss_S.masked_fill(~present_S, 0.0)
        weights_S = source_weights(loss_S.detach().masked_fill(~present_S, 1e6))
        return (weights_S * loss_S).sum() + torch.linalg.vector_norm(weights_S)


def source_weights(loss_S: Tensor) -> Tensor:
    """The weights (S,) of sum 1 that minimise <weights, losses> + |weights|.

    They are max(v - loss, 0), scaled to the sum 1, where v gives max(v - loss, 0) the length 1. As they are a minimum, the
    gradient of the objective is that at constant weights.
    """
    sorted_S = loss_S.sort().values
    centered_S = sorted_S - sorted_S[0]
    counts_S = torch.arange(1, len(loss_S) + 1, device=loss_S.device)
    sums_S, squares_S = centered_S.cumsum(dim=0), centered_S.square().cumsum(dim=0)
    length_S = counts_S * centered_S.square() - 2 * centered_S * sums_S + squares_S  # where v is the largest of those losses
    levels_S = (sums_S + (sums_S.square() - counts_S * (squares_S - 1)).clamp_min(0).sqrt()) / counts_S
    level = levels_S.gather(0, (length_S < 1).sum(dim=0, keepdim=True) - 1)
    weights_S = (level - (loss_S - sorted_S[0])).clamp_min(0)
    return weights_S / weights_S.sum()
