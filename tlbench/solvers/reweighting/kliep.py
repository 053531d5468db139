"""KLIEP: the density ratio target / source as a sum of kernels under which the target samples are most likely.

The problem is a mixture over the simplex: the largest mean_i log(Q beta)_i. A primal-dual interior-point method solves it in 10
to 30 systems of as many unknowns as there are kernels; it stops where the likelihood is provably within a tolerance of the
largest, or after a number of steps.

Sugiyama, Nakajima, Kashima, von Bünau and Kawanabe, Direct importance estimation with model selection and its application to
covariate shift adaptation, NIPS 2007.
https://proceedings.neurips.cc/paper/2007/hash/be83ab3ecd0db773eb2dc1b0a17836a1-Abstract.html
"""

from __future__ import annotations

import torch
from torch import Tensor

TOLERANCE = 1e-8
"""Of the bound on the gap to the largest mean log likelihood."""
TO_THE_EDGE = 0.99
"""Share of the way to the nearest bound that a step goes, at most."""


def mixture_weights(columns_MB: Tensor, *, tolerance: float = TOLERANCE, steps: int = 100) -> tuple[Tensor, float, int]:
    """beta (B,) on the simplex of the largest mean_i log(sum_j Q_ij beta_j).

    A sample whose columns are all 0 has no likelihood under any mixture and is left out.

    Args:
        columns_MB: Q (M, B), see `normalized_kernels`.
        tolerance: stop where max_j mean_i(Q_ij / (Q beta)_i) - 1, which bounds the gap to the largest likelihood, is below.
        steps: at most.

    Returns:
        beta, the bound at which the iteration stopped, and the steps.
    """
    largest_M1 = columns_MB.amax(dim=1, keepdim=True)
    positive_M = largest_M1[:, 0] > 0
    # a factor of a row adds a constant to the likelihood
    q = columns_MB[positive_M] / largest_M1[positive_M]
    count = columns_MB.shape[1]
    beta = best = q.new_full((count,), 1 / count)
    if not len(q):
        return beta, 0.0, 0
    # min -mean log(Q beta) + sum beta over beta >= 0 has the same solution, whose entries sum to 1
    multiplier, gap, step = torch.ones_like(beta), float("inf"), 0
    for step in range(steps + 1):
        share = q / (q @ beta)[:, None]
        gain = share.mean(dim=0)
        bound = float(gain.max() * beta.sum()) - 1
        if bound < gap:
            best, gap = beta / beta.sum(), bound
        if gap <= tolerance or step == steps:
            break
        beta, multiplier = _interior_step(share, beta, multiplier)
        if not bool(torch.isfinite(beta).all()):
            break
    return best, gap, step


def _interior_step(share_MB: Tensor, beta_B: Tensor, multiplier_B: Tensor) -> tuple[Tensor, Tensor]:
    """One predictor-corrector step for beta and for the multipliers of beta >= 0 (Mehrotra, SIAM Journal on Optimization 1992).

    Args:
        share_MB: Q_ij / (Q beta)_i.
        beta_B: beta, positive.
        multiplier_B: positive.
    """
    hessian = share_MB.T @ share_MB / len(share_MB)
    hessian.diagonal().add_(multiplier_B / beta_B + 1e-14 * hessian.diagonal().max())
    root = torch.linalg.cholesky_ex(hessian)[0]
    residual = 1 - share_MB.mean(dim=0) - multiplier_B

    def direction(products: Tensor) -> tuple[Tensor, Tensor]:
        move = torch.cholesky_solve((products / beta_B - residual)[:, None], root)[:, 0]
        return move, (products - multiplier_B * move) / beta_B

    def length(x: Tensor, d: Tensor) -> float:
        return min(1.0, float(torch.where(d < 0, -x / d, torch.inf).min()))

    products = multiplier_B * beta_B
    mean = float(products.mean())
    move, change = direction(-products)
    ahead = (beta_B + length(beta_B, move) * move) * (multiplier_B + length(multiplier_B, change) * change)
    target = mean * min(max(float(ahead.mean()) / mean, 0.0), 1.0) ** 3
    move, change = direction(target - products - move * change)
    size = TO_THE_EDGE * min(length(beta_B, move), length(multiplier_B, change))
    return beta_B + size * move, multiplier_B + size * change


def normalized_kernels(phi_target_MB: Tensor, phi_source_NB: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Q (M, B') = phi_t / mean_s phi, that mean (B',), and a mask (B,) of the centres that are near a source sample."""
    mean_B = phi_source_NB.mean(dim=0)
    active_B = mean_B > 1e-12 * mean_B.max().clamp_min(1e-300)
    return phi_target_MB[:, active_B] / mean_B[active_B], mean_B[active_B], active_B
