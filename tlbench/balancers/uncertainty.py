"""Uncertainty weighting: each loss is divided by a variance that is learned with the network.

Kendall, Gal and Cipolla, Multi-task learning using uncertainty to weigh losses for scene geometry and semantics, CVPR 2018.
https://arxiv.org/abs/1705.07115
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from tlbench.balancers.base import LossBalancer


class Uncertainty(LossBalancer):
    """sum_i exp(-s_i) L_i / 2 + s_i / 2, with the log variances s_i, which the suite's optimizer learns.

    At fixed losses the optimum is s_i = log L_i: tasks are weighed by 1 / (2 L_i). The factor 1/2 stands for classification
    too, and s starts at -0.5, as in LibMTL.
    """

    def __init__(self, tasks: int, *, start: float = -0.5) -> None:
        super().__init__(tasks)
        self.log_variance = nn.Parameter(torch.full((tasks,), start))

    def loss(self, losses_K: Tensor, present_K: Tensor) -> Tensor:
        """The sum over the present tasks."""
        terms_K = losses_K / (2 * self.log_variance.exp()) + self.log_variance / 2
        return (terms_K * present_K).sum()
