"""A mixture of Gaussians, one for each class, from soft assignments of samples."""

from __future__ import annotations

import torch
from torch import Tensor

RIDGE = 1e-6
"""Added to the diagonal of every covariance."""


def log_posteriors(x_ND: Tensor, weights_NC: Tensor, covariance_weights_NC: Tensor, ridge: float = RIDGE) -> Tensor:
    """The log posteriors of the classes (N, C) in float64, each a Gaussian with a full covariance.

    Args:
        x_ND: the samples.
        weights_NC: soft assignments, which give priors and means.
        covariance_weights_NC: soft assignments, which give the covariances about these means.
        ridge: added to the diagonal of every covariance.
    """
    x_ND, weights_NC, covariance_weights_NC = x_ND.double(), weights_NC.double(), covariance_weights_NC.double()
    prior_C = weights_NC.sum(dim=0).clamp_min(1e-12)
    means_CD = (weights_NC.T @ x_ND) / prior_C[:, None]
    diagonal_DD = ridge * torch.eye(x_ND.shape[1], dtype=x_ND.dtype, device=x_ND.device)
    logs: list[Tensor] = []
    for mean_D, weight_N, prior in zip(means_CD, covariance_weights_NC.T, prior_C, strict=True):
        centered_ND = x_ND - mean_D
        scatter_DD = centered_ND.T @ (weight_N[:, None] * centered_ND)
        factor_DD = torch.linalg.cholesky_ex(scatter_DD / weight_N.sum().clamp_min(1e-12) + diagonal_DD).L
        distances_N = torch.linalg.solve_triangular(factor_DD, centered_ND.T, upper=False).square().sum(dim=0)
        logs.append(prior.log() - factor_DD.diagonal().log().sum() - distances_N / 2)
    return torch.stack(logs, dim=1).log_softmax(dim=1)
