"""Distances between two batches of features, and the maps that remove them."""

from __future__ import annotations

import torch
from torch import Tensor

from tlbench.nn.net import concatenated


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


def mmd(source_BD: Tensor, target_BD: Tensor, kernels: int = 5) -> Tensor:
    """Squared maximum mean discrepancy, V-statistic, with a sum of Gaussian kernels: between 0 and 2 `kernels`.

    exp(-|a - b|^2 / b_j) with b_j = 2^(j - kernels // 2) times the mean squared distance of the pooled rows, which is not
    learnt through (Long et al. 2015; the ladder of the authors' code).
    """
    rows = concatenated(source_BD, target_BD).to(torch.promote_types(source_BD.dtype, torch.float32))
    square = rows.square().sum(dim=1)
    squared = (square[:, None] + square[None, :] - 2 * rows @ rows.T).clamp_min(0)
    count = len(rows)
    base = squared.detach().sum() / (count * (count - 1))
    base = base.clamp_min(torch.finfo(base.dtype).tiny)
    kernel = torch.stack([(-squared / (base * 2.0 ** (j - kernels // 2))).exp() for j in range(kernels)]).sum(dim=0)
    n = len(source_BD)
    value: Tensor = kernel[:n, :n].mean() + kernel[n:, n:].mean() - 2 * kernel[:n, n:].mean()
    return value


def confusion(logits_BC: Tensor, temperature: float) -> Tensor:
    """Minimum class confusion (Jin et al. 2020): 1 - trace / C of the row-normalised class correlation, in [0, 1 - 1/C]."""
    logs = (logits_BC.float() / temperature).log_softmax(dim=1)
    share_BC = logs.exp()
    weight_B = 1 + (share_BC * logs).sum(dim=1).exp()  # 1 + exp(-entropy)
    weight_B = (len(weight_B) * weight_B / weight_B.sum()).detach()
    together_CC = share_BC.T @ (weight_B[:, None] * share_BC)
    together_CC = together_CC / together_CC.sum(dim=1, keepdim=True)
    value: Tensor = (together_CC.sum() - together_CC.trace()) / len(together_CC)
    return value
