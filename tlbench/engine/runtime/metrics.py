"""Predictions and labels -> scores. No other module compares a prediction with a target label."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from tlbench.errors import DivergedError
from tlbench.terms import LabeledTask


def predicted_classes(scores_NC: Tensor) -> Tensor:
    """The class (N,) of the highest score.

    Raises:
        DivergedError: a score is NaN, or all scores of a sample are minus infinity.
    """
    _check_decided(scores_NC)
    return scores_NC.argmax(dim=1)


def _check_decided(scores_NC: Tensor) -> None:
    """Check that the scores of each sample name a class.

    Raises:
        DivergedError: a score is NaN, or all scores of a sample are minus infinity.
    """
    if bool(torch.isnan(scores_NC).any()):
        raise DivergedError(f"{int(torch.isnan(scores_NC).any(dim=1).sum())} of {len(scores_NC)} predictions are NaN.")
    if excluded := int((scores_NC == -torch.inf).all(dim=1).sum()):
        raise DivergedError(
            f"{excluded} of {len(scores_NC)} predictions exclude every class: all their scores are minus infinity. A sample "
            "must have a finite score at least."
        )


def accuracy(predicted_N: Tensor, y_N: Tensor) -> float:
    """The share of correct predictions."""
    return float((predicted_N == y_N).double().mean())


def per_class_accuracy(predicted_N: Tensor, y_N: Tensor, classes: Sequence[str]) -> dict[str, float | None]:
    """The share of correct predictions in each class; None for a class without scored samples."""
    counts = torch.bincount(y_N, minlength=len(classes)).tolist()
    correct = torch.bincount(y_N[predicted_N == y_N], minlength=len(classes)).tolist()
    return {name: right / n if n else None for name, right, n in zip(classes, correct, counts, strict=True)}


def per_group_accuracy(predicted_N: Tensor, y_N: Tensor, group_N: Tensor, groups: Sequence[str]) -> dict[str, float | None]:
    """The share of correct predictions in each group; None for a group without scored samples.

    Args:
        predicted_N: predicted class indices of N samples.
        y_N: their class indices.
        group_N: their group indices.
        groups: the names of the groups.
    """
    counts = torch.bincount(group_N, minlength=len(groups)).tolist()
    correct = torch.bincount(group_N[predicted_N == y_N], minlength=len(groups)).tolist()
    return {name: right / n if n else None for name, right, n in zip(groups, correct, counts, strict=True)}


def macro_f1(predicted_N: Tensor, y_N: Tensor, classes: int) -> float:
    """The mean F1 over the classes that have scored samples (a class without any has no F1)."""
    actual = torch.bincount(y_N, minlength=classes).double()
    predicted = torch.bincount(predicted_N, minlength=classes).double()
    correct = torch.bincount(y_N[predicted_N == y_N], minlength=classes).double()
    f1 = 2 * correct / (actual + predicted).clamp_min(1)
    return float(f1[actual > 0].mean())


def classification_scores(
    predicted_N: Tensor, y_N: Tensor, classes: Sequence[str], *, open_set: bool = False
) -> dict[str, Any]:
    """The scores of predicted classes by the names of `Scores`.

    Args:
        predicted_N: predicted class indices of N samples.
        y_N: their class indices.
        classes: the names of the classes.
        open_set: whether the last class is "unknown".
    """
    by_class = per_class_accuracy(predicted_N, y_N, classes)
    return {
        "target_accuracy": accuracy(predicted_N, y_N),
        "per_class_accuracy": by_class,
        "macro_f1": macro_f1(predicted_N, y_N, len(classes)),
        **(open_set_scores(by_class) if open_set else {}),
    }


def open_set_scores(by_class: Mapping[str, float | None]) -> dict[str, float | None]:
    """The scores of an open set from the accuracy of each class, of which the last is "unknown".

    Known classes count alike, however many samples they have, as in OS* of Saito et al. (ECCV 2018); the H-score is the
    harmonic mean of OS* and the accuracy on unknown samples (Bucci, Loghmani and Tommasi, On the effectiveness of image
    rotation for open set domain adaptation, ECCV 2020, https://arxiv.org/abs/2007.12360). What has no samples has no score.

    Args:
        by_class: class name -> accuracy, None for a class without scored samples.
    """
    *known_classes, unknown = by_class.values()
    measured = [share for share in known_classes if share is not None]
    known = sum(measured) / len(measured) if measured else None
    h_score = None
    if known is not None and unknown is not None:
        h_score = 2 * known * unknown / (known + unknown) if known + unknown else 0.0
    return {"known_accuracy": known, "unknown_accuracy": unknown, "h_score": h_score}


def regression_scores(predicted_NK: Tensor, y_NK: Tensor, targets: Sequence[str]) -> dict[str, float | dict[str, float] | None]:
    """R2 (the explained share of the variance), root mean squared error and mean absolute error, as means over target columns.

    A column that is constant over the scored samples has no R2; the mean is then None.

    Args:
        predicted_NK: predictions of N samples for K target columns.
        y_NK: the targets.
        targets: the names of the K columns; empty where they have none.

    Raises:
        DivergedError: a prediction is not finite.
        ValueError: predictions and targets differ in shape, so that their difference would be broadcast.
    """
    if predicted_NK.shape != y_NK.shape:
        raise ValueError(f"Predictions have the shape {tuple(predicted_NK.shape)}, and targets {tuple(y_NK.shape)}.")
    if not bool(torch.isfinite(predicted_NK).all()):
        raise DivergedError(
            f"{int((~torch.isfinite(predicted_NK)).any(dim=1).sum())} of {len(y_NK)} predictions are not finite."
        )
    error, y = (predicted_NK - y_NK).double(), y_NK.double()
    squared_K, total_K = error.square().sum(dim=0), (y - y.mean(dim=0)).square().sum(dim=0)
    r2_K = 1 - squared_K / total_K
    defined = bool((total_K > 0).all())
    return {
        "r2": float(r2_K.mean()) if defined else None,
        "rmse": float((squared_K / len(y)).sqrt().mean()),
        "mae": float(error.abs().mean()),
        "per_target_r2": dict(zip(targets, r2_K.tolist(), strict=True)) if defined and targets else None,
    }


def task_predictions(outputs_NO: Tensor, tasks: Sequence[LabeledTask]) -> Tensor:
    """The outputs of all heads, one after the other (N, O) -> for each task the predicted class index or number (N, tasks).

    Raises:
        DivergedError: an output is not finite.
    """
    if not bool(torch.isfinite(outputs_NO).all()):
        count = int((~torch.isfinite(outputs_NO)).any(dim=1).sum())
        raise DivergedError(f"{count} of {len(outputs_NO)} predictions are not finite.")
    by_task = outputs_NO.split([task.outputs for task in tasks], dim=1)
    columns = [one.argmax(dim=1) if task.classes else one[:, 0] for one, task in zip(by_task, tasks, strict=True)]
    return torch.stack([column.float() for column in columns], dim=1)


def task_scores(predicted_NT: Tensor, y_NT: Tensor, tasks: Sequence[LabeledTask]) -> dict[str, Any]:
    """The scores of several tasks by the names of `Scores`: each over the samples that have its label.

    Args:
        predicted_NT: predicted class indices and numbers of N samples.
        y_NT: their labels, NaN where one is missing.
        tasks: the tasks.
    """
    per_task: dict[str, dict[str, float | int | None]] = {}
    for task, predicted_N, y_N in zip(tasks, predicted_NT.T, y_NT.T, strict=True):
        present = ~y_N.isnan()
        predicted, y, samples = predicted_N[present], y_N[present], int(present.sum())
        if task.classes:
            per_task[task.name] = {"samples": samples, "accuracy": accuracy(predicted, y)}
        else:
            scores = regression_scores(predicted[:, None], y[:, None], ())
            r2, rmse = scores["r2"], scores["rmse"]
            assert not isinstance(r2, dict) and isinstance(rmse, float)
            per_task[task.name] = {"samples": samples, "r2": r2, "rmse": rmse}
    shares = [share for one in per_task.values() if (share := one.get("accuracy", one.get("r2"))) is not None]
    return {"per_task": per_task, "task_score": sum(shares) / len(shares) if shares else None}


def pack_predictions(predicted_N: Tensor, correct_N: Tensor) -> tuple[str, bytes]:
    """The hash and the content of a predictions file: the class of every scored sample, and whether it is correct."""
    predicted = predicted_N.cpu().numpy()
    predicted = predicted.astype(np.uint8 if int(predicted.max()) < 256 else np.uint16)
    correct = np.packbits(correct_N.cpu().numpy())
    file = io.BytesIO()
    np.savez_compressed(file, predicted=predicted, right=correct)
    facts = f"{predicted.dtype}{len(predicted)}".encode() + predicted.tobytes() + correct.tobytes()
    return hashlib.sha256(facts).hexdigest()[:16], file.getvalue()


def pack_outputs(outputs_NK: Tensor) -> tuple[str, bytes]:
    """The hash and the content of a predictions file of a regression: K float32 numbers for every scored sample."""
    outputs = np.ascontiguousarray(outputs_NK.cpu().float().numpy())
    file = io.BytesIO()
    np.savez_compressed(file, outputs=outputs)
    facts = f"{outputs.dtype}{outputs.shape}".encode() + outputs.tobytes()
    return hashlib.sha256(facts).hexdigest()[:16], file.getvalue()


def mean_entropy(logits_NC: Tensor) -> float:
    """The mean entropy of the softmax in nats.

    Raises:
        DivergedError: a score is NaN, or all scores of a sample are minus infinity.
    """
    _check_decided(logits_NC)
    # entr(0) = 0, for a score of minus infinity excludes its class
    return float(torch.special.entr(logits_NC.float().softmax(dim=1)).sum(dim=1).mean())
