"""Distances between two batches of features, and the maps that remove them."""

from __future__ import annotations

import torch
from torch import Tensor


def coral(source_BD: Tensor, target_BD: Tensor) -> Tensor:
    """|Cov_s - Cov_t|^2_F / (4 D^2), unbiased covariances (Sun and Saenko 2016, equation 1). Blind to a shift of the mean."""
    width = source_BD.shape[1]
    difference: Tensor = covariance(source_BD) - covariance(target_BD)
    distance: Tensor = difference.square().sum() / (4 * width * width)
    return distance


def covariance(x_ND: Tensor) -> Tensor:
    """Covariance (D, D) of the rows, divided by N - 1; zero for a single row, in float32 at least."""
    x_ND = x_ND.to(torch.promote_types(x_ND.dtype, torch.float32))
    centred = x_ND - x_ND.mean(dim=0)
    product: Tensor = centred.T @ centred
    return product / max(len(x_ND) - 1, 1)


def power(matrix_DD: Tensor, exponent: float) -> Tensor:
    """A power of a symmetric positive definite matrix, through its eigenvectors."""
    values, vectors = torch.linalg.eigh(matrix_DD)
    raised: Tensor = (vectors * values.clamp_min(torch.finfo(values.dtype).tiny).pow(exponent)) @ vectors.T
    return raised
