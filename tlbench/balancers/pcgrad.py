"""PCGrad: where the gradients of two tasks conflict, each is projected onto the normal plane of the other.

Yu, Kumar, Gupta, Levine, Hausman and Finn, Gradient surgery for multi-task learning, NeurIPS 2020.
https://arxiv.org/abs/2001.06782
"""

from __future__ import annotations

import torch
from torch import Tensor

from tlbench.balancers.base import GradientBalancer


class PcGrad(GradientBalancer):
    """The sum of the projected gradients; each meets the original others in a random order of its own.

    All tasks are projected at once: row i of `coefficients` holds the projected gradient of task i in terms of the originals.
    """

    def weights(self, gram_KK: Tensor, losses_K: Tensor, index_K: Tensor) -> Tensor:
        """The weights of the original gradients in the sum."""
        count = len(gram_KK)
        tasks = torch.arange(count, device=gram_KK.device)
        orders_KK = torch.stack([torch.randperm(count) for _ in range(count)]).to(gram_KK.device)
        coefficients = torch.eye(count, dtype=gram_KK.dtype, device=gram_KK.device)
        for others_K in orders_KK.T:
            products_K = (coefficients * gram_KK[others_K]).sum(dim=1)
            shares_K = products_K.clamp(max=0) / gram_KK.diagonal()[others_K]
            coefficients[tasks, others_K] -= torch.where(others_K == tasks, 0.0, shares_K)
        return coefficients.sum(dim=0)
