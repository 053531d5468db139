"""GradNorm: weights are learned so that the gradients of all tasks have norms that fit their training rates.

Chen, Badrinarayanan, Lee and Rabinovich, GradNorm: gradient normalization for adaptive loss balancing in deep
multitask networks, ICML 2018. https://arxiv.org/abs/1711.02257
"""

from __future__ import annotations

import torch
from torch import Tensor

from tlbench.balancers.adam import AdamVector
from tlbench.balancers.base import GradientBalancer, check_range


class GradNorm(GradientBalancer):
    """Weights w of sum K that lower sum_i |w_i n_i - m r_i^alpha|, with n_i the norm of the gradient and m the mean of w_i n_i.

    r_i is the loss relative to its first value, over the mean of that over the tasks. The gradient by w_i is sign(...) n_i, so
    that no second backward pass is needed. The norms are those of all shared parameters, not of the last shared layer alone.
    alpha = 1.5 and the rate 0.025 are the paper's for NYUv2. Losses must be positive.
    """

    first: Tensor

    def __init__(self, tasks: int, *, alpha: float = 1.5, lr: float = 0.025) -> None:
        super().__init__(tasks)
        check_range("alpha", alpha, 0)
        check_range("lr", lr, 0)
        self.alpha = alpha
        self.learned = AdamVector(torch.ones(tasks), lr)
        self.register_buffer("first", torch.full((tasks,), torch.nan))

    def weights(self, gram_KK: Tensor, losses_K: Tensor, index_K: Tensor) -> Tensor:
        """The weights of the step; they move afterwards."""
        weights_K = self.learned.value[index_K].double()
        self.first[index_K] = torch.where(self.first[index_K].isnan(), losses_K.to(self.first), self.first[index_K])
        norms_K = gram_KK.diagonal().sqrt()
        ratios_K = losses_K / self.first[index_K].double().clamp_min(1e-12)
        rates_K = ratios_K / ratios_K.mean().clamp_min(1e-12)
        weighted_K = weights_K * norms_K
        gradient = torch.zeros_like(self.learned.value)
        gradient[index_K] = ((weighted_K - weighted_K.mean() * rates_K**self.alpha).sign() * norms_K).to(gradient)
        self.learned.step(gradient)
        learned = self.learned.value.clamp_(min=1e-3)
        learned *= self.tasks / learned.sum()
        return weights_K
