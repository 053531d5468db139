"""KLIEP: the density ratio target / source as a sum of kernels under which the target samples are most likely.

The problem is a mixture over the simplex, solved by expectation maximisation: every step raises the likelihood and keeps the
constraint, and there is no step size. It stops where the likelihood is provably within a tolerance of the largest, or after a
number of steps.

Sugiyama, Nakajima, Kashima, von Bünau and Kawanabe, Direct importance estimation with model selection and its application to
covariate shift adaptation, NIPS 2007.
https://proceedings.neurips.cc/paper/2007/hash/be83ab3ecd0db773eb2dc1b0a17836a1-Abstract.html
"""

from __future__ import annotations

import math

import torch
from torch import Tensor


def mixture_weights(columns_MB: Tensor, *, tolerance: float, steps: int) -> tuple[Tensor, float]:
    """beta (B,) on the simplex of the largest mean_i log(sum_j Q_ij beta_j).

    Args:
        columns_MB: Q (M, B), see `normalized_kernels`.
        tolerance: stop where max_j mean_i(Q_ij / (Q beta)_i) - 1, which bounds the gap to the largest likelihood, is below.
        steps: at most.

    Returns:
        beta, and the bound at which the iteration stopped.
    """
    beta = columns_MB.new_full((columns_MB.shape[1],), 1 / columns_MB.shape[1])
    gap = math.inf
    for step in range(steps):
        gain = columns_MB.T @ (1 / (columns_MB @ beta).clamp_min(torch.finfo(beta.dtype).tiny)) / len(columns_MB)
        if step % 10 == 0:
            gap = float(gain.max()) - 1
            if gap <= tolerance:
                break
        beta = beta * gain
        beta = beta / beta.sum()
    return beta, gap


def normalized_kernels(phi_target_MB: Tensor, phi_source_NB: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Q (M, B') = phi_t / mean_s phi, that mean (B',), and a mask (B,) of the centres that are near a source sample."""
    mean_B = phi_source_NB.mean(dim=0)
    active_B = mean_B > 1e-12 * mean_B.max().clamp_min(1e-300)
    return phi_target_MB[:, active_B] / mean_B[active_B], mean_B[active_B], active_B
