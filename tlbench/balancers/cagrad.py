"""CAGrad: near the mean gradient, the direction along which the worst task gains most.

Liu, Liu, Jin, Stone and Liu, Conflict-averse gradient descent for multi-task learning, NeurIPS 2021.
https://arxiv.org/abs/2110.14048
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from tlbench.balancers import simplex
from tlbench.balancers.base import GradientBalancer, check_range


class CaGrad(GradientBalancer):
    """(g0 + c |g0| g_w / |g_w|) / (1 + c^2), where w on the simplex minimizes g_w'g0 + c |g0| |g_w|, with the mean gradient g0.

    It is solved until the optimality gap is 1e-10 of the mean squared norm. c = 0.5 and the division by 1 + c^2 are the
    defaults of LibMTL; c = 0 gives the mean gradient.
    """

    def __init__(self, tasks: int, *, c: float = 0.5) -> None:
        super().__init__(tasks)
        check_range("c", c, 0)
        self.c = c

    def weights(self, gram_KK: Tensor, losses_K: Tensor, index_K: Tensor) -> Tensor:
        """The weights of the gradients in the direction."""
        gram = (gram_KK / gram_KK.diagonal().mean()).cpu().numpy()
        products, equal = gram.mean(axis=1), np.full(len(gram), 1 / len(gram))
        radius = self.c * np.sqrt(max(float(products.mean()), 0.0))
        if radius == 0:  # any weights give the mean gradient
            return torch.from_numpy(equal / (1 + self.c**2))

        def function(w: simplex.Array) -> tuple[float, simplex.Array, simplex.Array]:
            moved = gram @ w
            norm = np.sqrt(w @ moved + 1e-24)
            hessian = radius * (gram / norm - np.outer(moved, moved) / norm**3)
            return float(w @ products + radius * norm), products + radius * moved / norm, hessian

        w, gap = simplex.minimize(function, len(gram))
        if gap > 100 * simplex.TOLERANCE:
            self.notes.append(f"cagrad: the optimality gap is {gap:.0e} after the last iteration")
        norm = np.sqrt(max(float(w @ gram @ w), 0.0))
        direction = equal + (radius / norm * w if norm > 1e-9 else 0.0)
        return torch.from_numpy(direction / (1 + self.c**2))
