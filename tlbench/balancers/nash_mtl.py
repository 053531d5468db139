"""Nash-MTL: the bargaining solution of the tasks, in which every task gains alike.

Navon, Shamsian, Achituve, Maron, Kawaguchi, Chechik and Fetaya, Multi-task learning as a bargaining game, ICML 2022.
https://arxiv.org/abs/2202.01017
"""

from __future__ import annotations

import torch
from torch import Tensor

from tlbench.balancers.base import GradientBalancer, check_range

TOLERANCE = 1e-10
"""Of the largest |a_i (Ga)_i - 1|, the condition of optimality."""


class NashMtl(GradientBalancer):
    """Weights a > 0 with G a = 1 / a, by damped Newton steps on the convex a'Ga/2 - sum log a.

    They are unique. G is divided by its Frobenius norm first, and the update is clipped to the norm `max_norm` (1, as
    published; 0: not at all). The published code solves a sequence of convex programs up to 1e-3.
    """

    def __init__(self, tasks: int, *, max_norm: float = 1.0) -> None:
        super().__init__(tasks)
        check_range("max_norm", max_norm, 0)
        self.max_norm = max_norm

    def weights(self, gram_KK: Tensor, losses_K: Tensor, index_K: Tensor) -> Tensor:
        """The weights of the present tasks."""
        gram = gram_KK / gram_KK.norm()
        a = gram.diagonal().rsqrt()
        for _ in range(100):
            products = gram @ a
            residual = a * products - 1
            if residual.abs().max() <= TOLERANCE:
                break
            # with a = a (1 + d) the Hessian is diag(a) G diag(a) + 1, which is well conditioned
            scaled = a[:, None] * gram * a + torch.eye(len(a), dtype=a.dtype, device=a.device)
            step = torch.linalg.solve(scaled, -residual)
            decrement = (step @ scaled @ step).sqrt()
            a = a * (1 + step / (1 + decrement) if decrement > 0.25 else 1 + step)
        else:
            self.notes.append(f"nash_mtl: the residual is {float(residual.abs().max()):.0e} after 100 Newton steps")
        norm = (a @ gram_KK @ a).sqrt()
        return a * (self.max_norm / norm).clamp(max=1) if self.max_norm else a
