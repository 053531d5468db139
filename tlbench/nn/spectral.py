"""Singular values of a batch (B, D) without a decomposition, so that a step on a GPU neither synchronises nor leaves its graph.

Both functions make a fixed number of matrix products on the smaller side. Gradients flow through the last product alone, where
they are those of the singular values.
"""

from __future__ import annotations

import torch
from torch import Tensor

SQUARINGS = 16
"""Squarings of the Gram matrix: the relative error of the largest singular value's square is at most 1 / (e 2^16) = 6e-6."""
ITERATIONS = 30
"""Newton-Schulz iterations: singular values above 1e-5 times the Frobenius norm reach 1, smaller ones add less than that."""


def squared_spectral_norm(x_BD: Tensor) -> Tensor:
    """The square of the largest singular value of x (B, D), a scalar.

    The trace of its Gram matrix G times the normalised power G^(2^16), which projects onto the leading eigenvectors.
    """
    x_BD = x_BD if x_BD.shape[0] <= x_BD.shape[1] else x_BD.T
    gram = x_BD @ x_BD.T
    with torch.no_grad():
        projector = gram
        for _ in range(SQUARINGS):
            projector = projector / projector.diagonal().sum().clamp_min(torch.finfo(gram.dtype).tiny)
            projector = projector @ projector
        projector = projector / projector.diagonal().sum().clamp_min(torch.finfo(gram.dtype).tiny)
    value: Tensor = (gram * projector).sum()
    return value


def nuclear_norm(x_BD: Tensor) -> Tensor:
    """The sum of the singular values of x (B, D), a scalar: the inner product of x with its polar factor.

    The polar factor, which is the gradient of the norm, comes from Newton-Schulz iterations.
    """
    with torch.no_grad():
        polar = x_BD if x_BD.shape[0] <= x_BD.shape[1] else x_BD.T
        polar = polar / polar.norm().clamp_min(torch.finfo(x_BD.dtype).tiny)
        for _ in range(ITERATIONS):
            polar = torch.addmm(polar, polar @ polar.T, polar, beta=1.5, alpha=-0.5)
        polar = polar if x_BD.shape[0] <= x_BD.shape[1] else polar.T
    value: Tensor = (x_BD * polar).sum()
    return value
