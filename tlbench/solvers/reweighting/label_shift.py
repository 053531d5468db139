"""Label shift: the class weights target / source from a classifier's predictions and its confusion matrix, in closed form.

Lipton, Wang and Smola, Detecting and correcting for label shift with black box predictors, ICML 2018.
https://arxiv.org/abs/1802.03916
"""

from __future__ import annotations

import torch
from torch import Tensor


def class_weights(joint_CC: Tensor, share_C: Tensor, floor: float) -> tuple[Tensor, int]:
    """w (C,) = max(0, J^-1 q), scaled such that the weighted class shares of the source sum to 1.

    Args:
        joint_CC: J[i, j] = P_s(f = i, y = j); its column sums are the class shares of the source.
        share_C: q[i] = P_t(f = i).
        floor: singular values below this share of the largest are left out (the least-squares solution of least norm).

    Returns:
        The weights, and how many directions were left out. A class without source samples has weight 0 and is not counted.
    """
    prior_C = joint_CC.sum(dim=0)
    present = prior_C > 0
    left, values, right = torch.linalg.svd(joint_CC[:, present], full_matrices=False)
    retained = values > floor * values[0]
    solution = right[retained].T @ ((left[:, retained].T @ share_C) / values[retained])
    weights = torch.zeros_like(share_C)
    weights[present] = solution.clamp_min(0)
    total = float(prior_C @ weights)
    return (weights / total if total > 0 else weights), int((~retained).sum())
