"""Random loss weighting: a litmus test, for weights without any meaning do about as well as equal ones.

Lin, Ye, Zhang and Tsang, Reasonable effectiveness of random weighting: a litmus test for multi-task learning, TMLR 2022.
https://arxiv.org/abs/2111.10603
"""

from __future__ import annotations

import torch
from torch import Tensor

from tlbench.balancers.base import LossBalancer


class Rlw(LossBalancer):
    """Weights softmax(z) of normal z, drawn in each step from the seeded generator."""

    def loss(self, losses_K: Tensor, present_K: Tensor) -> Tensor:
        """The randomly weighted sum."""
        return (torch.softmax(torch.randn(self.tasks, device=losses_K.device), dim=0) * losses_K).sum()
