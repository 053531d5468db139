"""Distances between two batches of features, and the moments that they compare."""

from __future__ import annotations

import torch
from torch import Tensor

from tlbench.nn.net import concatenated


def coral(source_BD: Tensor, target_BD: Tensor) -> Tensor:
    """The CORAL distance of features (B, D) and (B', D), a scalar: |Cov_s - Cov_t|^2_F / (4 D^2), with unbiased covariances.

    It does not change where one of the two is translated. Sun and Saenko, Deep CORAL, ECCV workshops 2016, equation 1.
    https://arxiv.org/abs/1607.01719
    """
    width = source_BD.shape[1]
    difference: Tensor = covariance(source_BD) - covariance(target_BD)
    distance: Tensor = difference.square().sum() / (4 * width * width)
    return distance


def covariance(x_ND: Tensor) -> Tensor:
    """The covariance (D, D) of samples (N, D), divided by N - 1, in float32 at least; zero for a single sample."""
    x_ND = x_ND.to(torch.promote_types(x_ND.dtype, torch.float32))
    centred = x_ND - x_ND.mean(dim=0)
    product: Tensor = centred.T @ centred
    return product / max(len(x_ND) - 1, 1)


def power(matrix_DD: Tensor, exponent: float) -> Tensor:
    """A power (D, D) of a symmetric positive definite matrix (D, D), by its eigendecomposition."""
    values, vectors = torch.linalg.eigh(matrix_DD)
    raised: Tensor = (vectors * values.clamp_min(torch.finfo(values.dtype).tiny).pow(exponent)) @ vectors.T
    return raised


def mmd(source_BD: Tensor, target_BD: Tensor, kernels: int = 5) -> Tensor:
    """The squared maximum mean discrepancy (V-statistic) of features (B, D) and (B', D), a scalar in [0, 2 * kernels].

    The kernel is a sum of `kernels` Gaussians exp(-|a - b|^2 / b_j) with b_j = 2^(j - kernels // 2) times the mean squared
    distance of the pooled samples, through which no gradient flows. Long et al., Learning transferable features with deep
    adaptation networks, ICML 2015, https://arxiv.org/abs/1502.02791; the bandwidths are those of the authors' code.
    """
    kernel_NN = gaussian_kernel(concatenated(source_BD, target_BD), kernels)
    n = len(source_BD)
    value: Tensor = kernel_NN[:n, :n].mean() + kernel_NN[n:, n:].mean() - 2 * kernel_NN[:n, n:].mean()
    return value


def squared_distances(pooled_ND: Tensor) -> Tensor:
    """The squared distances (N, N) of all pairs of samples (N, D), in float32 at least."""
    pooled_ND = pooled_ND.to(torch.promote_types(pooled_ND.dtype, torch.float32))
    # distances do not change with the mean, but the products below would cancel where features are far from 0
    pooled_ND = pooled_ND - pooled_ND.detach().mean(dim=0)
    norms_N = pooled_ND.square().sum(dim=1)
    squared_NN: Tensor = (norms_N[:, None] + norms_N[None, :] - 2 * pooled_ND @ pooled_ND.T).clamp_min(0)
    return squared_NN


def gaussian_kernel(pooled_ND: Tensor, kernels: int) -> Tensor:
    """The kernel (N, N) of `mmd`, a sum of Gaussians, on pooled samples (N, D)."""
    squared_NN = squared_distances(pooled_ND)
    count = len(pooled_ND)
    base = squared_NN.detach().sum() / (count * (count - 1))
    base = base.clamp_min(torch.finfo(base.dtype).tiny)
    return torch.stack([(-squared_NN / (base * 2.0 ** (j - kernels // 2))).exp() for j in range(kernels)]).sum(dim=0)


def confusion(logits_BC: Tensor, temperature: float) -> Tensor:
    """The class confusion of logits (B, C), a scalar in [0, 1 - 1/C]: 1 - trace / C of the normalised class correlation.

    Each class of the correlation (C, C) is normalised to sum 1. Samples are weighted by 1 + exp(-entropy). Jin et al., Minimum
    class confusion for versatile domain adaptation, ECCV 2020. https://arxiv.org/abs/1912.03699
    """
    logs_BC = (logits_BC.float() / temperature).log_softmax(dim=1)
    softmax_BC = logs_BC.exp()
    weight_B = 1 + (softmax_BC * logs_BC).sum(dim=1).exp()  # 1 + exp(-entropy)
    weight_B = (len(weight_B) * weight_B / weight_B.sum()).detach()
    correlation_CC = softmax_BC.T @ (weight_B[:, None] * softmax_BC)
    correlation_CC = correlation_CC / correlation_CC.sum(dim=1, keepdim=True)
    value: Tensor = (correlation_CC.sum() - correlation_CC.trace()) / len(correlation_CC)
    return value
