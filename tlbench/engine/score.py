"""Predictions and labels -> scores: the only place where a target label meets a prediction."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from tlbench.terms import Diverged


def predicted(scores_NC: Tensor) -> Tensor:
    """The class of the highest score (N,).

    Raises:
        Diverged: a row has no score that is a number.
    """
    if bool(torch.isnan(scores_NC).any()):
        raise Diverged(f"{int(torch.isnan(scores_NC).any(dim=1).sum())} of {len(scores_NC)} predictions are not a number")
    return scores_NC.argmax(dim=1)


def accuracy(predicted_N: Tensor, y_N: Tensor) -> float:
    """Share of rows that are right."""
    return float((predicted_N == y_N).double().mean())


def per_class(predicted_N: Tensor, y_N: Tensor, classes: Sequence[str]) -> dict[str, float | None]:
    """Share of each class's rows that are right; None for a class without a scored row."""
    rows = torch.bincount(y_N, minlength=len(classes)).tolist()
    right = torch.bincount(y_N[predicted_N == y_N], minlength=len(classes)).tolist()
    return {name: r / n if n else None for name, r, n in zip(classes, right, rows, strict=True)}


def macro_f1(predicted_N: Tensor, y_N: Tensor, classes: int) -> float:
    """Mean F1 over the classes that have scored rows (a class without any has no F1)."""
    rows = torch.bincount(y_N, minlength=classes).double()
    said = torch.bincount(predicted_N, minlength=classes).double()
    right = torch.bincount(y_N[predicted_N == y_N], minlength=classes).double()
    f1 = 2 * right / (rows + said).clamp_min(1)
    return float(f1[rows > 0].mean())


def entropy(logits_NC: Tensor) -> float:
    """Mean entropy in nats of the softmax."""
    # entr(0) = 0: a score of minus infinity rules a class out
    return float(torch.special.entr(logits_NC.float().softmax(dim=1)).sum(dim=1).mean())
