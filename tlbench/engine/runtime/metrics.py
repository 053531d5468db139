"""Predictions and labels -> scores: the only place where a target label meets a prediction."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from tlbench.errors import DivergedError


def predicted_classes(scores_NC: Tensor) -> Tensor:
    """The class of the highest score (N,).

    Raises:
        Diverged: a row has no score that is a number.
    """
    if bool(torch.isnan(scores_NC).any()):
        raise DivergedError(f"{int(torch.isnan(scores_NC).any(dim=1).sum())} of {len(scores_NC)} predictions are not a number")
    return scores_NC.argmax(dim=1)


def accuracy(predicted_N: Tensor, y_N: Tensor) -> float:
    """Share of rows that are right."""
    return float((predicted_N == y_N).double().mean())


def per_class_accuracy(predicted_N: Tensor, y_N: Tensor, classes: Sequence[str]) -> dict[str, float | None]:
    """Share of each class's rows that are right; None for a class without a scored row."""
    rows = torch.bincount(y_N, minlength=len(classes)).tolist()
    right = torch.bincount(y_N[predicted_N == y_N], minlength=len(classes)).tolist()
    return {name: r / n if n else None for name, r, n in zip(classes, right, rows, strict=True)}


def per_group_accuracy(predicted_N: Tensor, y_N: Tensor, group_N: Tensor, groups: Sequence[str]) -> dict[str, float | None]:
    """Share of each group's rows that are right; None for a group without a scored row."""
    rows = torch.bincount(group_N, minlength=len(groups)).tolist()
    right = torch.bincount(group_N[predicted_N == y_N], minlength=len(groups)).tolist()
    return {name: r / n if n else None for name, r, n in zip(groups, right, rows, strict=True)}


def macro_f1(predicted_N: Tensor, y_N: Tensor, classes: int) -> float:
    """Mean F1 over the classes that have scored rows (a class without any has no F1)."""
    rows = torch.bincount(y_N, minlength=classes).double()
    said = torch.bincount(predicted_N, minlength=classes).double()
    right = torch.bincount(y_N[predicted_N == y_N], minlength=classes).double()
    f1 = 2 * right / (rows + said).clamp_min(1)
    return float(f1[rows > 0].mean())


def regression_scores(predicted_NK: Tensor, y_NK: Tensor, targets: Sequence[str]) -> dict[str, float | dict[str, float] | None]:
    """R2 (share of the variance explained), root mean squared and mean absolute error: each the mean over target columns.

    A column that does not vary over the scored rows has no R2: then it is None for all.

    Raises:
        Diverged: a prediction that is not finite.
    """
    if not bool(torch.isfinite(predicted_NK).all()):
        raise DivergedError(
            f"{int((~torch.isfinite(predicted_NK)).any(dim=1).sum())} of {len(y_NK)} predictions are not finite"
        )
    error, y = (predicted_NK - y_NK).double(), y_NK.double()
    squared_K, varies_K = error.square().sum(dim=0), (y - y.mean(dim=0)).square().sum(dim=0)
    r2_K = 1 - squared_K / varies_K
    each = bool((varies_K > 0).all())
    return {
        "r2": float(r2_K.mean()) if each else None,
        "rmse": float((squared_K / len(y)).sqrt().mean()),
        "mae": float(error.abs().mean()),
        "per_target_r2": dict(zip(targets, r2_K.tolist(), strict=True)) if each and targets else None,
    }


def pack_predictions(predicted_N: Tensor, right_N: Tensor) -> tuple[str, bytes]:
    """The predicted class of every scored row and whether it was right: a hash of both, and a compressed file's content."""
    predicted = predicted_N.cpu().numpy()
    small = predicted.astype(np.uint8 if int(predicted.max()) < 256 else np.uint16)
    right = np.packbits(right_N.cpu().numpy())
    file = io.BytesIO()
    np.savez_compressed(file, predicted=small, right=right)
    return hashlib.sha256(f"{small.dtype}{len(small)}".encode() + small.tobytes() + right.tobytes()).hexdigest()[
        :16
    ], file.getvalue()


def mean_entropy(logits_NC: Tensor) -> float:
    """Mean entropy in nats of the softmax."""
    # entr(0) = 0: a score of minus infinity rules a class out
    return float(torch.special.entr(logits_NC.float().softmax(dim=1)).sum(dim=1).mean())
