"""IMTL-G: a combination of the gradients with equal projections on the gradient of every task.

Liu, Li, Kuang, Xue, Chen, Yang, Liao and Zhang, Towards impartial multi-task learning, ICLR 2021.
https://openreview.net/forum?id=IMPnRXEWpvr
"""

from __future__ import annotations

import torch
from torch import Tensor

from tlbench.balancers.base import GradientBalancer


class Imtl(GradientBalancer):
    """Weights of sum 1, which may be negative, from G w = s |g|: the part of the method that concerns the backbone.

    With dependent gradients the least-squares solution is taken (Quinton and Rey, https://arxiv.org/abs/2406.16232).
    """

    def weights(self, gram_KK: Tensor, losses_K: Tensor, index_K: Tensor) -> Tensor:
        """The weights in closed form; equal ones where their sum would be 0."""
        solution_K = torch.linalg.pinv(gram_KK, hermitian=True) @ gram_KK.diagonal().sqrt()
        total = solution_K.sum()
        return torch.where(total.abs() < 1e-12, 1 / len(gram_KK), solution_K / total)
