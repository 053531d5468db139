"""Linear models with a Gaussian prior centred at another model: posteriors, the evidence, and Laplace's approximation.

The evidence is maximised by MacKay's fixed point (Bayesian interpolation, Neural Computation 1992,
https://doi.org/10.1162/neco.1992.4.3.415), which stops where both variances change by less than 1e-6 in logarithms, or after
`MAX_ROUNDS`. The maximum a posteriori of a softmax regression is found by L-BFGS, which stops where no entry of the gradient
exceeds 1e-9, where a step changes the loss or every parameter by less than 1e-9, or after a number of iterations.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

MAX_ROUNDS = 100
"""Fixed-point rounds of the evidence."""
INTERCEPT_PRECISION = 1e-6
"""Prior precision of the intercept, whose prior is nearly flat."""


def with_intercept_column(x_ND: Tensor) -> Tensor:
    """The samples with a last column of ones (N, D + 1), in float64."""
    return torch.cat([x_ND.double(), x_ND.new_ones(len(x_ND), 1, dtype=torch.float64)], dim=1)


def prior_precision(value: float, like: Tensor) -> Tensor:
    """The diagonal of a prior precision (D + 1,): `value` for the D weights, `INTERCEPT_PRECISION` for the intercept.

    Args:
        value: inverse prior variance of a weight.
        like: a tensor (..., D + 1) of the dtype and the device to work in.
    """
    precision = torch.full((like.shape[1],), value).to(like)
    precision[-1] = INTERCEPT_PRECISION
    return precision


# --- a Gaussian posterior as the next prior ------------------------------------------------------------------------


def posterior(
    x_ND: Tensor, y_NK: Tensor, precision_DD: Tensor, mean_DK: Tensor, noise: float, power: float = 1.0
) -> tuple[Tensor, Tensor]:
    """Posterior precision (D, D) and mean (D, K) of linear weights.

    P' = P + power X'X / noise, and m' solves P' m' = P m + power X'y / noise.

    Args:
        x_ND: samples X (N, D).
        y_NK: columns y (N, K).
        precision_DD: prior precision P (D, D).
        mean_DK: prior mean m (D, K).
        noise: noise variance.
        power: exponent of the likelihood, in [0, 1].
    """
    updated = precision_DD + power * (x_ND.T @ x_ND) / noise
    mean = torch.linalg.solve(updated, precision_DD @ mean_DK + power * (x_ND.T @ y_NK) / noise)
    return updated, mean


def maximize_evidence(x_ND: Tensor, y_NK: Tensor) -> tuple[float, float]:
    """Prior variance tau2 of the weights and noise variance of the largest evidence, for centred samples and columns.

    The K columns share both. Each round sets tau2 = |m|^2 / g and noise = |y - Xm|^2 / (N - g), g the effective number of
    parameters.
    """
    x, y = x_ND - x_ND.mean(dim=0), y_NK - y_NK.mean(dim=0)
    left, values, _ = torch.linalg.svd(x, full_matrices=False)
    columns, count = y.shape[1], len(y)
    projected = (left.T @ y).square().sum(dim=1)
    residual = float(y.square().sum() - projected.sum())
    squares = values.square()
    level = max(float(y.square().mean()), 1e-12)
    tau2, noise = level / max(float(squares.mean()) / count, 1e-12), level
    for _ in range(MAX_ROUNDS):
        shrink = squares / (squares + noise / tau2)
        effective = float(shrink.sum())
        size = float((projected * squares / (squares + noise / tau2).square()).sum())
        error = residual + float((projected * (1 - shrink).square()).sum())
        previous = (tau2, noise)
        tau2 = max(size / (columns * max(effective, 1e-9)), 1e-12)
        noise = max(error / (columns * max(count - 1 - effective, 1e-9)), 1e-9 * level)
        if abs(math.log(tau2 / previous[0])) + abs(math.log(noise / previous[1])) < 1e-6:
            break
    return tau2, noise


def log_evidence(x_ND: Tensor, y_NK: Tensor, precision_DD: Tensor, mean_DK: Tensor, noise: float) -> float:
    """log N(y; X m, noise I + X P^-1 X'), summed over the K columns.

    Args:
        x_ND: samples X (N, D).
        y_NK: columns y (N, K).
        precision_DD: prior precision P (D, D).
        mean_DK: prior mean m (D, K).
        noise: noise variance.
    """
    covariance = x_ND @ torch.linalg.solve(precision_DD, x_ND.T) + noise * torch.eye(len(x_ND)).to(x_ND)
    root = torch.linalg.cholesky((covariance + covariance.T) / 2)
    white = torch.linalg.solve_triangular(root, y_NK - x_ND @ mean_DK, upper=False)
    constant = root.diagonal().log().sum() + len(x_ND) / 2 * math.log(2 * math.pi)
    return float(-white.square().sum() / 2 - y_NK.shape[1] * constant)


# --- softmax regression with a Gaussian prior ----------------------------------------------------------------------


def laplace_curvature(x_ND: Tensor, coefficients_CD: Tensor, diagonal: bool) -> Tensor:
    """sum_i p_ic (1 - p_ic) x_i x_i' of each class (C, D, D), or its diagonal (C, D): the blocks of the softmax's Hessian."""
    probability_NC = (x_ND @ coefficients_CD.T).softmax(dim=1)
    curvature_NC = probability_NC * (1 - probability_NC)
    if diagonal:
        return curvature_NC.T @ x_ND.square()
    return torch.stack([(x_ND * curvature[:, None]).T @ x_ND for curvature in curvature_NC.T])


def map_coefficients(x_ND: Tensor, y_N: Tensor, mean_CD: Tensor, precision: Tensor, iterations: int = 200) -> Tensor:
    """The maximum a posteriori (C, D): minimises sum CE + 1/2 sum_c (w_c - m_c)' P_c (w_c - m_c) by L-BFGS.

    What the samples add lies in the span of P_c^-1 x_i, so that there are N whitened unknowns a class, however many columns
    there are.

    Args:
        x_ND: samples (N, D).
        y_N: int64 classes (N,).
        mean_CD: prior means m_c (C, D).
        precision: prior precisions P_c (C, D, D), or (C, D) for diagonal matrices.
        iterations: of L-BFGS, at most.
    """
    if precision.ndim == 2:
        spread_CDN = x_ND.T / precision[:, :, None]
    else:
        spread_CDN = torch.cholesky_solve(x_ND.T.expand(len(mean_CD), -1, -1), torch.linalg.cholesky(precision))
    values, vectors = torch.linalg.eigh(x_ND @ spread_CDN)
    retained = values > 1e-12 * values[:, -1:]
    features_CNN = vectors * (values.clamp_min(0).sqrt() * retained)[:, None, :]
    start_NC = x_ND @ mean_CD.T
    unknown_CN = torch.zeros(features_CNN.shape[0], len(x_ND)).to(x_ND).requires_grad_()
    optimizer = torch.optim.LBFGS([unknown_CN], max_iter=iterations, tolerance_grad=1e-9, line_search_fn="strong_wolfe")

    def closure() -> Tensor:
        optimizer.zero_grad()
        logits = start_NC + torch.einsum("cnr,cr->nc", features_CNN, unknown_CN)
        loss = F.cross_entropy(logits, y_N, reduction="sum") + unknown_CN.square().sum() / 2
        loss.backward()
        return loss

    with torch.enable_grad():
        optimizer.step(closure)
    inverse = torch.where(retained, values.clamp_min(1e-300).rsqrt(), 0.0)
    dual_CN = torch.einsum("cnr,cr->cn", vectors, inverse * unknown_CN.detach())
    return mean_CD + torch.einsum("cdn,cn->cd", spread_CDN, dual_CN)
