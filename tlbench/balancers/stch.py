"""STCH: a smooth maximum of the log losses relative to their level after a warm-up.

Lin, Zhang, Yang, Liu, Wang and Zhang, Smooth Tchebycheff scalarization for multi-objective optimization, ICML 2024.
https://arxiv.org/abs/2402.19078
"""

from __future__ import annotations

import torch
from torch import Tensor

from tlbench.balancers.base import LossBalancer, check_range

EPSILON = 1e-20


class Stch(LossBalancer):
    """K mu log sum_i exp(log(L_i / n_i) / mu) after a warm-up, in which the sum of the log losses is minimized.

    n_i is the mean loss of task i over the second half of the warm-up. The published code warms up for four epochs; here it
    is a number of steps, for suites have a budget of steps. mu = 1 is the default of LibMTL; as mu goes to 0 it goes to the
    maximum.
    """

    sums: Tensor
    counts: Tensor
    steps: Tensor

    def __init__(self, tasks: int, *, mu: float = 1.0, warm_up: int = 100) -> None:
        super().__init__(tasks)
        check_range("mu", mu, 1e-6)
        check_range("warm_up", warm_up, 2)
        self.mu, self.warm_up = mu, warm_up
        self.register_buffer("sums", torch.zeros(tasks))
        self.register_buffer("counts", torch.zeros(tasks))
        self.register_buffer("steps", torch.zeros((), dtype=torch.int64))

    def loss(self, losses_K: Tensor, present_K: Tensor) -> Tensor:
        """The smooth maximum; the losses of the warm-up are averaged on the way."""
        with torch.no_grad():
            is_averaged = (self.steps >= self.warm_up // 2) & (self.steps < self.warm_up) & present_K
            self.sums += torch.where(is_averaged, losses_K, 0.0)
            self.counts += is_averaged
            levels_K = torch.where(self.counts > 0, self.sums / self.counts.clamp_min(1), 1.0)
            warms_up = self.steps < self.warm_up
            self.steps += 1
        log_K = (torch.where(present_K, losses_K, 1.0) + EPSILON).log()
        relative_K = torch.where(present_K, log_K - (levels_K + EPSILON).log(), -torch.inf)
        smooth = self.tasks * self.mu * torch.logsumexp(relative_K / self.mu, dim=0)
        return torch.where(warms_up, log_K.sum(), smooth)
