"""One density estimate for each domain, by kernels or by a Gaussian, whose logarithms are subtracted.

All are closed forms. The bandwidth is the best of 13 by leave-one-out likelihood; the covariance is shrunk by Ledoit and Wolf,
A well-conditioned estimator for large-dimensional covariance matrices, Journal of Multivariate Analysis 2004.
https://doi.org/10.1016/S0047-259X(03)00096-4
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from tlbench.errors import TlbenchError
from tlbench.solvers import sampling
from tlbench.solvers.kernels import gaussian


def log_kernel_density(x_ND: Tensor, centers_MD: Tensor, bandwidth: float, *, include_self: bool = True) -> Tensor:
    """log mean_j exp(-|x - x_j|^2 / (2 h^2)) (N,), without the constant of the Gaussian.

    Args:
        x_ND: samples (N, D).
        centers_MD: x_j (M, D).
        bandwidth: h.
        include_self: whether sample i counts centre i; False is for centres that are the samples themselves.
    """
    logs, start = [], 0
    for chunk in sampling.chunks(x_ND, len(centers_MD)):
        exponents = gaussian.squared_distances(chunk, centers_MD).mul_(-1 / (2 * bandwidth**2))
        if not include_self:
            exponents[torch.arange(len(chunk)), torch.arange(start, start + len(chunk))] = -math.inf
        logs.append(exponents.logsumexp(dim=1))
        start += len(chunk)
    return torch.cat(logs) - math.log(len(centers_MD) - (not include_self))


def likelihood_bandwidth(x_ND: Tensor) -> float:
    """Scott's bandwidth times the factor of the largest leave-one-out likelihood, from 2^-3 to 2^3 in steps of 2^0.5."""
    spread = float(x_ND.var(dim=0, correction=0).mean().sqrt())
    if spread == 0 or len(x_ND) < 3:
        return 1.0
    scott = spread * len(x_ND) ** (-1 / (x_ND.shape[1] + 4))
    bandwidths = [scott * 2 ** (k / 2) for k in range(-6, 7)]

    def likelihood(bandwidth: float) -> float:
        logs = log_kernel_density(x_ND, x_ND, bandwidth, include_self=False)
        return float(logs.mean()) - x_ND.shape[1] * math.log(bandwidth)

    return max(bandwidths, key=likelihood)


def shrunk_covariance(x_ND: Tensor, shrinkage: float | None) -> tuple[Tensor, Tensor, float]:
    """Mean (D,), covariance (D, D) divided by N and shrunk towards its mean variance, and the shrinkage s in [0, 1].

    It is (1 - s) S + s tr(S) / D I; s is that of Ledoit and Wolf where `shrinkage` is None.
    """
    mean, (count, width) = x_ND.mean(dim=0), x_ND.shape
    centered = x_ND - mean
    cov = centered.T @ centered / count
    level = cov.trace() / width
    if shrinkage is None:
        distance = (cov - level * torch.eye(width).to(cov)).square().sum()
        noise = (centered.square().sum(dim=1).square().mean() - cov.square().sum()) / count
        shrinkage = float((noise / distance).clamp(0, 1)) if float(distance) > 0 else 0.0
    return mean, (1 - shrinkage) * cov + shrinkage * level * torch.eye(width).to(cov), shrinkage


def log_gaussian(x_ND: Tensor, mean_D: Tensor, cov_DD: Tensor) -> Tensor:
    """log N(x; mean, cov) (N,), without the power of 2 pi.

    Raises:
        TlbenchError: The covariance is singular.
    """
    root, failed = torch.linalg.cholesky_ex(cov_DD)
    diagonal = root.diagonal()
    if int(failed) or float(diagonal.min()) <= 1e-7 * float(diagonal.max()):
        raise TlbenchError(
            "The covariance is singular: there are fewer samples than columns, or the columns depend on each other. "
            "Set `shrinkage` above 0."
        )
    white = torch.linalg.solve_triangular(root, (x_ND - mean_D).T, upper=False)
    return -white.square().sum(dim=0) / 2 - diagonal.log().sum()
