"""Gradient Vaccine: gradients are turned towards each other until they are as similar as they usually are.

Wang, Tsvetkov, Firat and Cao, Gradient vaccine: investigating and improving multi-task optimization in massively multilingual
models, ICLR 2021. https://arxiv.org/abs/2010.05874
"""

from __future__ import annotations

import torch
from torch import Tensor

from tlbench.balancers.base import GradientBalancer, check_range

EPSILON = 1e-8


class GradVac(GradientBalancer):
    """Where the cosine of task i and j is below its moving average, g_i gets so much of g_j that it equals the average.

    The moving averages (decay `beta`, 0.5 as in LibMTL) start at 0, so that the first step projects as PCGrad does. All shared
    parameters are one group.
    """

    similarity: Tensor

    def __init__(self, tasks: int, *, beta: float = 0.5) -> None:
        super().__init__(tasks)
        check_range("beta", beta, 0, 1)
        self.beta = beta
        self.register_buffer("similarity", torch.zeros(tasks, tasks, dtype=torch.float64))

    def weights(self, gram_KK: Tensor, losses_K: Tensor, index_K: Tensor) -> Tensor:
        """The weights of the original gradients in the sum of the turned ones."""
        count = len(gram_KK)
        tasks = torch.arange(count, device=gram_KK.device)
        orders = torch.stack([torch.randperm(count - 1) for _ in range(count)]).to(gram_KK.device)
        orders = orders + (orders >= tasks[:, None])  # the others of each task
        norms_K = gram_KK.diagonal().sqrt()
        coefficients = torch.eye(count, dtype=gram_KK.dtype, device=gram_KK.device)
        for others_K in orders.T:
            products_KK = coefficients @ gram_KK
            norm_K = (products_KK * coefficients).sum(dim=1).clamp_min(0).sqrt()
            cosine_K = products_KK[tasks, others_K] / (norm_K * norms_K[others_K] + EPSILON)
            usual_K = self.similarity[index_K, index_K[others_K]]
            sine_K, usual_sine_K = ((1 - value**2).clamp_min(0).sqrt() for value in (cosine_K, usual_K))
            shares_K = norm_K * (usual_K * sine_K - cosine_K * usual_sine_K) / (norms_K[others_K] * usual_sine_K + EPSILON)
            coefficients[tasks, others_K] += torch.where(cosine_K < usual_K, shares_K, 0.0)
            self.similarity[index_K, index_K[others_K]] = (1 - self.beta) * usual_K + self.beta * cosine_K
        return coefficients.sum(dim=0)
