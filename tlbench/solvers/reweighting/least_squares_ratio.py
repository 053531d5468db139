"""uLSIF and RuLSIF: the density ratio target / source as a sum of kernels, fitted by least squares in closed form.

The ratio is w(x) = phi(x)' theta over B kernels; theta solves one linear system, after which its negative entries are set to 0.

Kanamori, Hido and Sugiyama, A least-squares approach to direct importance estimation, JMLR 2009.
https://www.jmlr.org/papers/v10/kanamori09a.html
Yamada, Suzuki, Kanamori, Hachiya and Sugiyama, Relative density-ratio estimation for robust distribution comparison, NIPS 2011.
https://arxiv.org/abs/1106.4729
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

MAX_LEFT_OUT_PAIRS = 1000
"""Pairs of a source and a target sample that the leave-one-out score is averaged over, at most."""


def moments(phi_source_NB: Tensor, phi_target_MB: Tensor, alpha: float) -> tuple[Tensor, Tensor]:
    """H (B, B) = alpha mean_t phi phi' + (1 - alpha) mean_s phi phi', and h (B,) = mean_t phi."""
    second_moment = phi_source_NB.T @ phi_source_NB / len(phi_source_NB)
    if alpha:
        second_moment = alpha * (phi_target_MB.T @ phi_target_MB) / len(phi_target_MB) + (1 - alpha) * second_moment
    return second_moment, phi_target_MB.mean(dim=0)


def ratio_coefficients(second_moment_BB: Tensor, mean_B: Tensor, ridge: float) -> Tensor:
    """theta (B,) = max(0, (H + ridge I)^-1 h); the least-norm solution where that matrix is singular."""
    matrix = second_moment_BB + ridge * torch.eye(len(mean_B)).to(mean_B)
    theta, failed = torch.linalg.solve_ex(matrix, mean_B)
    if int(failed) or not bool(torch.isfinite(theta).all()):
        theta = torch.linalg.pinv(matrix, hermitian=True) @ mean_B
    return theta.clamp_min(0)


def leave_one_out_scores(phi_source_NB: Tensor, phi_target_MB: Tensor, ridges: Sequence[float], pairs: Tensor) -> list[float]:
    """The leave-one-out score of uLSIF at each ridge: the mean over pairs of w(x_s)^2 / 2 - w(x_t), both samples left out.

    It is in closed form (Kanamori et al. 2009, section 2.4): leaving a source sample out of H is a downdate of rank one.

    Args:
        phi_source_NB: kernels (N, B) of the source samples.
        phi_target_MB: kernels (M, B) of the target samples.
        ridges: the ridges to score.
        pairs: indices (2, P) of the source sample and the target sample of each pair.
    """
    source_PB, target_PB = phi_source_NB[pairs[0]], phi_target_MB[pairs[1]]
    (second_moment, mean), n, m = moments(phi_source_NB, phi_target_MB, 0.0), len(phi_source_NB), len(phi_target_MB)
    scores = []
    for ridge in ridges:
        # without sample i: (n H - f f') / (n - 1) + ridge I = n / (n - 1) (B - f f' / n), with B as here
        matrix = second_moment + ridge * (n - 1) / n * torch.eye(len(mean)).to(mean)
        inverse_source_BP = torch.linalg.solve(matrix, source_PB.T)
        downdate_P = n - (source_PB * inverse_source_BP.T).sum(dim=1)
        inverse = torch.linalg.solve(matrix, torch.cat([mean[:, None], target_PB.T], dim=1))
        inner_P = (m * (mean @ inverse_source_BP) - (target_PB * inverse_source_BP.T).sum(dim=1)) / downdate_P
        theta_BP = m * inverse[:, :1] - inverse[:, 1:] + inverse_source_BP * inner_P
        theta_BP = (theta_BP * (n - 1) / (n * (m - 1))).clamp_min(0)
        w_source, w_target = (source_PB * theta_BP.T).sum(dim=1), (target_PB * theta_BP.T).sum(dim=1)
        scores.append(float(w_source.square().mean() / 2 - w_target.mean()))
    return scores


def cross_validation_scores(
    phi_source_NB: Tensor, phi_target_MB: Tensor, ridges: Sequence[float], alpha: float, folds: int
) -> list[float]:
    """The cross-validation score of RuLSIF at each ridge; samples are dealt out to the folds in turn.

    It is alpha / 2 mean_t w^2 + (1 - alpha) / 2 mean_s w^2 - mean_t w over the left-out samples.

    Args:
        phi_source_NB: kernels (N, B) of the source samples, in a random order.
        phi_target_MB: kernels (M, B) of the target samples, in a random order.
        ridges: the ridges to score.
        alpha: share of the target in the denominator.
        folds: number of folds.
    """
    totals = [0.0] * len(ridges)
    fold_N, fold_M = (torch.arange(len(phi), device=phi.device) % folds for phi in (phi_source_NB, phi_target_MB))
    for fold in range(folds):
        fitted = moments(phi_source_NB[fold_N != fold], phi_target_MB[fold_M != fold], alpha)
        for index, ridge in enumerate(ridges):
            theta = ratio_coefficients(*fitted, ridge)
            w_source, w_target = phi_source_NB[fold_N == fold] @ theta, phi_target_MB[fold_M == fold] @ theta
            squares = alpha / 2 * w_target.square().mean() + (1 - alpha) / 2 * w_source.square().mean()
            totals[index] += float(squares - w_target.mean()) / folds
    return totals
