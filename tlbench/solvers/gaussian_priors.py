"""Linear models with a Gaussian prior centred at another model: posteriors, the evidence, and Laplace's approximation.

The evidence (MacKay, Bayesian interpolation, Neural Computation 1992, https://doi.org/10.1162/neco.1992.4.3.415) is a function
of the ratio of the two variances alone; its largest value is bracketed on a grid and refined by Brent's method to 1e-8 in the
logarithm of the ratio. The maximum a posteriori of a softmax regression is found to the stopping rule of `solvers.softmax`.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from tlbench.solvers.softmax import LEAST_OBJECTIVE, Note, Operator, SoftmaxObjective

MAX_LOG_RATIO = 30.0
"""Of noise to prior variance, times the mean squared singular value of the samples: far beyond it nothing changes."""
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
    precision = like.new_full((like.shape[1],), value)
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

    The K columns share both. The mean of the columns takes one degree of freedom: at the optimum tau2 = |m|^2 / g and
    noise = |y - Xm|^2 / (N - 1 - g), g the effective number of weights.
    """
    from scipy.optimize import minimize_scalar

    x, y = x_ND - x_ND.mean(dim=0), y_NK - y_NK.mean(dim=0)
    left, values, _ = torch.linalg.svd(x, full_matrices=False)
    freedom = max(len(y) - 1, 1)
    squares = values.square()[:freedom]
    projected = (left.T @ y).square().sum(dim=1)[:freedom]
    residual = max(float(y.square().sum() - projected.sum()), 0.0)
    level, typical = max(float(y.square().mean()), 1e-12), float(squares.mean())
    if not typical > 0:
        return level, level

    def noise_at(log_ratio: float) -> float:
        ratio = typical * math.exp(log_ratio)
        return max((residual + float((projected * ratio / (squares + ratio)).sum())) / (y.shape[1] * freedom), 1e-9 * level)

    def loss(log_ratio: float) -> float:
        determinant = float((squares / (typical * math.exp(log_ratio))).log1p().sum())
        return (freedom * math.log(noise_at(log_ratio)) + determinant) / freedom

    grid = [MAX_LOG_RATIO * k / 60 for k in range(-60, 61)]
    best = min(grid, key=loss)
    bracket = max(best - MAX_LOG_RATIO / 60, grid[0]), min(best + MAX_LOG_RATIO / 60, grid[-1])
    log_ratio = float(minimize_scalar(loss, bounds=bracket, method="bounded", options={"xatol": 1e-8}).x)
    noise = noise_at(log_ratio)
    return noise / (typical * math.exp(log_ratio)), noise


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


class _PriorScores(SoftmaxObjective):
    """Changes (C, D) of the coefficients from the prior means, with a precision of each class."""

    def __init__(self, x_ND: Tensor, y_N: Tensor, mean_CD: Tensor, precision: Tensor) -> None:
        super().__init__(y_N, x_ND.new_ones(len(x_ND), 1), x_ND @ mean_CD.T)
        self.x_ND, self.precision = x_ND, precision
        self.root = None if precision.ndim == 2 else torch.linalg.cholesky(precision)
        self.spread_CDN = self.inverse_times(x_ND.T.expand(len(mean_CD), -1, -1))
        self.products_CNN = x_ND @ self.spread_CDN
        self.unknowns, self.refresh = (mean_CD.shape[0], mean_CD.shape[1]), len(x_ND) // 4

    def inverse_times(self, right_CDB: Tensor) -> Tensor:
        """P_c^-1 times columns (C, D, B)."""
        return right_CDB / self.precision[:, :, None] if self.root is None else torch.cholesky_solve(right_CDB, self.root)

    def scores(self, w: Tensor) -> Tensor:
        """The product of samples and coefficients."""
        return self.x_ND @ w.T

    def transposed_scores(self, change_NC: Tensor) -> Tensor:
        """The product with the transposed samples."""
        return change_NC.T @ self.x_ND

    def penalized(self, w: Tensor) -> Tensor:
        """P_c times the change."""
        return self.precision * w if self.root is None else (self.precision @ w[:, :, None])[:, :, 0]

    def preconditioner(self, probability_NC: Tensor) -> Operator:
        """The inverse of the Hessian's block of each class, through the space of the samples (Woodbury)."""
        curvature_CN = (probability_NC * (1 - probability_NC)).T.sqrt()
        inner_CNN = curvature_CN[:, :, None] * self.products_CNN * curvature_CN[:, None, :]
        inner_CNN.diagonal(dim1=1, dim2=2).add_(1)
        root = torch.linalg.cholesky_ex(inner_CNN)[0]
        spread_CDN = self.spread_CDN * curvature_CN[:, None, :]

        def solve(v: Tensor) -> Tensor:
            right = v[:, :, None]
            return (self.inverse_times(right) - spread_CDN @ torch.cholesky_solve(spread_CDN.mT @ right, root))[:, :, 0]

        return solve


def map_coefficients(
    x_ND: Tensor, y_N: Tensor, mean_CD: Tensor, precision: Tensor, iterations: int = 200, note: Note | None = None
) -> Tensor:
    """The maximum a posteriori (C, D): minimises sum CE + 1/2 sum_c (w_c - m_c)' P_c (w_c - m_c).

    Args:
        x_ND: samples (N, D).
        y_N: int64 classes (N,).
        mean_CD: prior means m_c (C, D).
        precision: prior precisions P_c (C, D, D), or (C, D) for diagonal matrices.
        iterations: Newton steps, at most.
        note: is told where they end before the optimum.
    """
    objective = _PriorScores(x_ND, y_N, mean_CD, precision)
    return mean_CD + objective.minimize(iterations, LEAST_OBJECTIVE * len(x_ND), note)
