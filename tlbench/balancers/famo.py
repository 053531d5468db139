"""FAMO: weights are learned so that all log losses fall alike, from one backward pass a step.

Liu, Feng, Stone and Liu, FAMO: fast adaptive multitask optimization, NeurIPS 2023. https://arxiv.org/abs/2306.03792
"""

from __future__ import annotations

import torch
from torch import Tensor

from tlbench.balancers.adam import AdamVector
from tlbench.balancers.base import LossBalancer, check_range

EPSILON = 1e-8


class Famo(LossBalancer):
    """sum_i z_i log L_i / sum_j (z_j / L_j), with z = softmax(w); w follows by how much each log loss fell in the step.

    The losses after a step are those of the same batch, as published: another forward pass. The rate 0.025 and the decay 0.001
    of w are the defaults of the published code. Losses must be positive, with 0 as their lower bound.
    """

    reads_losses_after = True
    before: Tensor

    def __init__(self, tasks: int, *, lr: float = 0.025, decay: float = 1e-3) -> None:
        super().__init__(tasks)
        check_range("lr", lr, 0)
        check_range("decay", decay, 0)
        self.logits = AdamVector(torch.zeros(tasks), lr, decay)
        self.register_buffer("before", torch.ones(tasks))

    def loss(self, losses_K: Tensor, present_K: Tensor) -> Tensor:
        """The weighted sum of log losses."""
        shares_K = torch.softmax(self.logits.value, dim=0) * present_K
        losses_K = torch.where(present_K, losses_K, 1.0) + EPSILON
        self.before.copy_(losses_K.detach())
        scale = (shares_K / losses_K).sum().detach().clamp_min(1e-12)
        return (shares_K * losses_K.log() / scale).sum()

    def after(self, losses_K: Tensor, present_K: Tensor) -> None:
        """Move the logits against the gradient of the weighted fall of the log losses."""
        falls_K = self.before.log() - (torch.where(present_K, losses_K, 1.0) + EPSILON).log()
        shares_K = torch.softmax(self.logits.value, dim=0)
        self.logits.step(shares_K * (falls_K - (shares_K * falls_K).sum()))
