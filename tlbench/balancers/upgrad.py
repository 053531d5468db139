"""UPGrad: every gradient is projected onto the directions that conflict with no task, and the projections are averaged.

Quinton and Rey, Jacobian descent for multi-objective optimization, 2024. https://arxiv.org/abs/2406.16232
"""

from __future__ import annotations

import numpy as np
import torch
from scipy.optimize import nnls
from torch import Tensor

from tlbench.balancers.base import GradientBalancer

REGULARIZATION = 1e-4
"""Added to the diagonal of the Gram matrix of trace 1, as in the authors' library."""


class UpGrad(GradientBalancer):
    """The projection of gradient i is sum_j v_j g_j, where v minimizes v'Gv under v >= e_i / K.

    With v = e_i / K + z and z >= 0 that is a least-squares problem without negative numbers, which the active-set method of
    Lawson and Hanson solves exactly.
    """

    def weights(self, gram_KK: Tensor, losses_K: Tensor, index_K: Tensor) -> Tensor:
        """The weights of the original gradients in the mean of the projections."""
        count = len(gram_KK)
        gram = (gram_KK / gram_KK.diagonal().sum()).cpu().numpy() + REGULARIZATION * np.eye(count)
        factor = np.linalg.cholesky(gram).T
        weights_K = np.full(count, 1 / count)
        for i in range(count):
            if gram[i].min() >= 0:  # conflicts with no task
                continue
            try:
                weights_K += nnls(factor, -factor[:, i] / count)[0]
            except RuntimeError:
                self.notes.append("upgrad: a least-squares problem without negative numbers took too many iterations")
        return torch.from_numpy(weights_K)
