"""Prototypes: the mean features of each class, and the linear head that predicts the nearest of them."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn


def class_means(values_ND: Tensor, y_N: Tensor, classes: int) -> tuple[Tensor, Tensor]:
    """The mean values of each class, and the number of its samples.

    Args:
        values_ND: values (N, D), such as features.
        y_N: labels (N,).
        classes: C.

    Returns:
        Means (C, D), 0 for a class without samples, and counts (C,).
    """
    members_NC = F.one_hot(y_N, classes).to(values_ND.dtype)
    counts_C = members_NC.sum(dim=0)
    return members_NC.T @ values_ND / counts_C.clamp_min(1.0)[:, None], counts_C


def set_nearest_mean_head(head: nn.Linear, means_CD: Tensor, counts_C: Tensor, *, cosine: bool) -> None:
    """Make a linear head predict the class of the nearest mean; a class without samples is never predicted.

    By Euclidean distance its logits are those of -|f - mean|^2 up to a number per sample, and by cosine they are the cosines
    times the norm of the features.

    Args:
        head: the head from D to C; it is changed in place.
        means_CD: the means (C, D).
        counts_C: the number of samples (C,) of each class.
        cosine: whether the nearest mean has the largest cosine, or the smallest Euclidean distance.
    """
    weight_CD = F.normalize(means_CD) if cosine else 2 * means_CD
    bias_C = torch.zeros_like(counts_C) if cosine else -means_CD.square().sum(dim=1)
    lowest = torch.finfo(bias_C.dtype).min / 4  # finite, so that an entropy of the logits is
    with torch.no_grad():
        head.weight.copy_(weight_CD)
        head.bias.copy_(bias_C.masked_fill(counts_C == 0, lowest))
