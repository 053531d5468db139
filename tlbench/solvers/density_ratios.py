"""Density ratios target / source: by least squares, by maximum likelihood, and by one density estimate for each domain."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from tlbench.errors import TlbenchError
from tlbench.solvers import kernels, nystrom

LOO_PAIRS = 1000
"""Pairs of a source and a target row that the leave-one-out score is taken over, at most."""
FOLDS = 5


# --- least squares: uLSIF and RuLSIF ---------------------------------------------------------------------------------


def moments(phi_source_NB: Tensor, phi_target_MB: Tensor, alpha: float) -> tuple[Tensor, Tensor]:
    """H (B, B) = alpha mean_t phi phi' + (1 - alpha) mean_s phi phi', and h (B,) = mean_t phi."""
    square = phi_source_NB.T @ phi_source_NB / len(phi_source_NB)
    if alpha:
        square = alpha * (phi_target_MB.T @ phi_target_MB) / len(phi_target_MB) + (1 - alpha) * square
    return square, phi_target_MB.mean(dim=0)


def ulsif(square_BB: Tensor, mean_B: Tensor, ridge: float) -> Tensor:
    """theta (B,) = (H + ridge I)^-1 h, its negative entries set to 0; the least-norm solution where that matrix is singular."""
    matrix = square_BB + ridge * torch.eye(len(mean_B)).to(mean_B)
    theta, failed = torch.linalg.solve_ex(matrix, mean_B)
    if int(failed) or not bool(torch.isfinite(theta).all()):
        theta = torch.linalg.pinv(matrix, hermitian=True) @ mean_B
    return theta.clamp_min(0)


def leave_one_out(phi_source_NB: Tensor, phi_target_MB: Tensor, ridges: Sequence[float], pairs: Tensor) -> list[float]:
    """The leave-one-out score of uLSIF at each ridge: mean over pairs of w(x_s)^2 / 2 - w(x_t), both rows left out.

    In closed form (Kanamori et al. 2009, section 2.4): leaving a source row out of H is a downdate of rank one. `pairs` (2, n)
    numbers the source and the target row of each pair.
    """
    source_PB, target_PB = phi_source_NB[pairs[0]], phi_target_MB[pairs[1]]
    (square, mean), n, m = moments(phi_source_NB, phi_target_MB, 0.0), len(phi_source_NB), len(phi_target_MB)
    scores = []
    for ridge in ridges:
        # without row i: (n H - f f') / (n - 1) + ridge I = n / (n - 1) (B - f f' / n), with B as here
        matrix = square + ridge * (n - 1) / n * torch.eye(len(mean)).to(mean)
        solved_BP = torch.linalg.solve(matrix, source_PB.T)
        downdate_P = n - (source_PB * solved_BP.T).sum(dim=1)
        plain = torch.linalg.solve(matrix, torch.cat([mean[:, None], target_PB.T], dim=1))
        inner_P = (m * (mean @ solved_BP) - (target_PB * solved_BP.T).sum(dim=1)) / downdate_P
        theta_BP = m * plain[:, :1] - plain[:, 1:] + solved_BP * inner_P
        theta_BP = (theta_BP * (n - 1) / (n * (m - 1))).clamp_min(0)
        w_source, w_target = (source_PB * theta_BP.T).sum(dim=1), (target_PB * theta_BP.T).sum(dim=1)
        scores.append(float(w_source.square().mean() / 2 - w_target.mean()))
    return scores


def held_out_score(
    phi_source_NB: Tensor, phi_target_MB: Tensor, ridges: Sequence[float], alpha: float, folds: int
) -> list[float]:
    """The score of RuLSIF at each ridge by cross-validation, rows in the order given dealt out to the folds in turn.

    alpha / 2 mean_t w^2 + (1 - alpha) / 2 mean_s w^2 - mean_t w, over the rows left out.
    """
    totals = [0.0] * len(ridges)
    fold_N, fold_M = (torch.arange(len(phi), device=phi.device) % folds for phi in (phi_source_NB, phi_target_MB))
    for fold in range(folds):
        fitted = moments(phi_source_NB[fold_N != fold], phi_target_MB[fold_M != fold], alpha)
        for number, ridge in enumerate(ridges):
            theta = ulsif(*fitted, ridge)
            w_source, w_target = phi_source_NB[fold_N == fold] @ theta, phi_target_MB[fold_M == fold] @ theta
            squares = alpha / 2 * w_target.square().mean() + (1 - alpha) / 2 * w_source.square().mean()
            totals[number] += float(squares - w_target.mean()) / folds
    return totals


# --- maximum likelihood: KLIEP ---------------------------------------------------------------------------------------


def mixture(columns_MB: Tensor, *, tolerance: float, steps: int) -> tuple[Tensor, float]:
    """beta (B,) on the simplex with the largest mean_i log(sum_j Q_ij beta_j), by expectation maximisation.

    Every step raises the likelihood and keeps the constraint, and none has a size. It ends where the likelihood is within
    `tolerance` of the largest: max_j mean_i(Q_ij / (Q beta)_i) - 1 bounds what is left.

    Returns:
        beta, and the bound at which it stopped.
    """
    beta = columns_MB.new_full((columns_MB.shape[1],), 1 / columns_MB.shape[1])
    left = math.inf
    for number in range(steps):
        gain = columns_MB.T @ (1 / (columns_MB @ beta).clamp_min(torch.finfo(beta.dtype).tiny)) / len(columns_MB)
        if number % 10 == 0:
            left = float(gain.max()) - 1
            if left <= tolerance:
                break
        beta = beta * gain
        beta = beta / beta.sum()
    return beta, left


def likelihood_columns(phi_target_MB: Tensor, phi_source_NB: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Q (M, B') = phi_t / mean_s phi, that mean (B',), and which of the B centres stay: those that some source row sees."""
    mean_B = phi_source_NB.mean(dim=0)
    kept_B = mean_B > 1e-12 * mean_B.max().clamp_min(1e-300)
    return phi_target_MB[:, kept_B] / mean_B[kept_B], mean_B[kept_B], kept_B


# --- one density for each domain -------------------------------------------------------------------------------------


def log_kernel_density(x_ND: Tensor, rows_MD: Tensor, bandwidth: float, *, itself: bool = True) -> Tensor:
    """log mean_j exp(-|x - x_j|^2 / (2 h^2)) (N,), without the Gaussian's constant; `itself` False leaves out j = i."""
    parts, at = [], 0
    for part in nystrom.blocks(x_ND, len(rows_MD)):
        exponents = kernels.squared_distances(part, rows_MD).mul_(-1 / (2 * bandwidth**2))
        if not itself:
            exponents[torch.arange(len(part)), torch.arange(at, at + len(part))] = -math.inf
        parts.append(exponents.logsumexp(dim=1))
        at += len(part)
    return torch.cat(parts) - math.log(len(rows_MD) - (not itself))


def best_bandwidth(rows_ND: Tensor) -> float:
    """Scott's bandwidth times the factor, from 2^-3 to 2^3 in steps of 2^0.5, of the largest leave-one-out likelihood."""
    spread = float(rows_ND.var(dim=0, correction=0).mean().sqrt())
    if spread == 0 or len(rows_ND) < 3:
        return 1.0
    scott = spread * len(rows_ND) ** (-1 / (rows_ND.shape[1] + 4))
    widths = [scott * 2 ** (k / 2) for k in range(-6, 7)]

    def likelihood(width: float) -> float:
        logs = log_kernel_density(rows_ND, rows_ND, width, itself=False)
        return float(logs.mean()) - rows_ND.shape[1] * math.log(width)

    return max(widths, key=likelihood)


def shrunk_covariance(x_ND: Tensor, shrinkage: float | None) -> tuple[Tensor, Tensor, float]:
    """Mean (D,), covariance (D, D) divided by N and shrunk towards its mean variance, and by how much.

    (1 - s) S + s tr(S) / D I; s is that of Ledoit and Wolf (2004) where it is None.
    """
    mean, (rows, width) = x_ND.mean(dim=0), x_ND.shape
    centred = x_ND - mean
    cov = centred.T @ centred / rows
    level = cov.trace() / width
    if shrinkage is None:
        apart = (cov - level * torch.eye(width).to(cov)).square().sum()
        noise = (centred.square().sum(dim=1).square().mean() - cov.square().sum()) / rows
        shrinkage = float((noise / apart).clamp(0, 1)) if float(apart) > 0 else 0.0
    return mean, (1 - shrinkage) * cov + shrinkage * level * torch.eye(width).to(cov), shrinkage


def log_gaussian(x_ND: Tensor, mean_D: Tensor, cov_DD: Tensor) -> Tensor:
    """log N(x; mean, cov) (N,), without the power of 2 pi.

    Raises:
        TlbenchError: the covariance is singular.
    """
    root, failed = torch.linalg.cholesky_ex(cov_DD)
    diagonal = root.diagonal()
    if int(failed) or float(diagonal.min()) <= 1e-7 * float(diagonal.max()):
        raise TlbenchError("singular covariance: fewer rows than columns, or columns that depend on each other; shrink it")
    white = torch.linalg.solve_triangular(root, (x_ND - mean_D).T, upper=False)
    return -white.square().sum(dim=0) / 2 - diagonal.log().sum()
