"""Label shift: how often each class stands in the target, from predictions and a confusion matrix."""

from __future__ import annotations

import torch
from torch import Tensor


def class_weights(joint_CC: Tensor, share_C: Tensor, floor: float) -> tuple[Tensor, int]:
    """w (C,) = J^-1 q, not below 0, scaled so that the weighted class shares of the source sum to 1.

    Args:
        joint_CC: J[i, j] = P_s(f = i, y = j); its column sums are the source's class shares.
        share_C: q[i] = P_t(f = i).
        floor: singular values below this share of the largest are left out (least squares of least norm).

    Returns:
        The weights, and how many directions were left out. A class without source rows has weight 0 and is not counted.
    """
    prior_C = joint_CC.sum(dim=0)
    there = prior_C > 0
    left, values, right = torch.linalg.svd(joint_CC[:, there], full_matrices=False)
    kept = values > floor * values[0]
    solved = right[kept].T @ ((left[:, kept].T @ share_C) / values[kept])
    weights = torch.zeros_like(share_C)
    weights[there] = solved.clamp_min(0)
    total = float(prior_C @ weights)
    return (weights / total if total > 0 else weights), int((~kept).sum())
