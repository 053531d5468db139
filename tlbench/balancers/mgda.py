"""MGDA: the shortest vector in the convex hull of the gradients, along which no task gets worse.

Sener and Koltun, Multi-task learning as multi-objective optimization, NeurIPS 2018. https://arxiv.org/abs/1810.04650
Désidéri, Multiple-gradient descent algorithm for multiobjective optimization, Comptes Rendus Mathematique 2012.
https://doi.org/10.1016/j.crma.2012.03.014
"""

from __future__ import annotations

import torch
from torch import Tensor

from tlbench.balancers import simplex
from tlbench.balancers.base import GradientBalancer


class Mgda(GradientBalancer):
    """min w'Gw over the simplex, solved until the optimality gap is 1e-10 of the mean squared norm of the gradients.

    Gradients are not normalized, the default of the published code: a task of small gradients takes most of the weight.
    """

    def weights(self, gram_KK: Tensor, losses_K: Tensor, index_K: Tensor) -> Tensor:
        """The weights on the simplex."""
        gram = (gram_KK / gram_KK.diagonal().mean()).cpu().numpy()
        weights_K, gap = simplex.minimize(lambda w: (w @ gram @ w / 2, gram @ w, gram), len(gram))
        if gap > 100 * simplex.TOLERANCE:
            self.notes.append(f"mgda: the optimality gap is {gap:.0e} after the last iteration")
        return torch.from_numpy(weights_K)
