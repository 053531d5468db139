"""Aligned-MTL: the principal components of the gradients are scaled to one length, which makes the system well conditioned.

Senushkin, Patakin, Kuznetsov and Konushin, Independent component alignment for multi-task learning, CVPR 2023.
https://arxiv.org/abs/2305.19000
"""

from __future__ import annotations

import torch
from torch import Tensor

from tlbench.balancers.base import GradientBalancer


class AlignedMtl(GradientBalancer):
    """The sum of the aligned gradients, all components of which have the least nonzero singular value (closed form)."""

    def weights(self, gram_KK: Tensor, losses_K: Tensor, index_K: Tensor) -> Tensor:
        """The weights of the original gradients."""
        eigenvalues, vectors = torch.linalg.eigh(gram_KK)
        tolerance = eigenvalues[-1] * len(gram_KK) * torch.finfo(gram_KK.dtype).eps
        used = eigenvalues > tolerance
        eigenvalues, vectors = eigenvalues[used], vectors[:, used]
        balance_KK = eigenvalues[0].sqrt() * (vectors / eigenvalues.sqrt()) @ vectors.T
        return balance_KK.sum(dim=1)
