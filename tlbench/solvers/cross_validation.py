"""The choice of one number by cross-validation on the granted samples."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from tlbench.solvers import sampling


def choose_candidate(
    x_ND: Tensor,
    y: Tensor,
    regression: bool,
    candidates: Sequence[float],
    fit: Callable[[float, Tensor], Callable[[Tensor], Tensor]],
    folds: int = 5,
) -> float:
    """The candidate of least loss on left-out samples, the first of ties.

    Args:
        x_ND: samples (N, D).
        y: classes (N,), scored by cross-entropy; or columns (N, K), scored by the squared error.
        regression: whether y holds columns.
        candidates: the values to try, the preferred one first.
        fit: (candidate, indices of the samples to fit on) -> scorer.
        folds: number of folds, stratified by class; with fewer samples, one sample is left out at a time.
    """
    fold = sampling.stratified_folds(x_ND, torch.zeros(len(y), device=y.device) if regression else y, min(folds, len(y)))
    losses = {}
    for candidate in candidates:
        total = 0.0
        for k in fold.unique().tolist():
            scores = fit(candidate, (fold != k).nonzero().squeeze(1))(x_ND[fold == k])
            left_out = y[fold == k]
            loss = (scores - left_out).square().sum() if regression else F.cross_entropy(scores, left_out, reduction="sum")
            total += float(loss)
        losses[candidate] = total if math.isfinite(total) else math.inf
    return min(candidates, key=losses.__getitem__)
