"""Predictions and labels of positions -> scores: accuracy and F1 over positions; those of entities, overlaps and answers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from tlbench.data.labels.positions import is_bio
from tlbench.engine.runtime.metrics import classification_scores, predicted_classes
from tlbench.engine.runtime.span_metrics import answer_scores, best_spans
from tlbench.passages import Passages
from tlbench.terms import IGNORED


def predicted_positions(scores_MC: Tensor, y_NP: Tensor, passages: Passages | None) -> Tensor:
    """The predicted class indices (N, P): of the highest score, or those of the best valid span where there are passages.

    Args:
        scores_MC: class scores (N * P, C).
        y_NP: class indices, of which only those that are `IGNORED` count.
        passages: the texts of the samples, where answers are spans of them.

    Raises:
        DivergedError: a score is NaN, or all scores of a position are minus infinity.
    """
    predicted_NP = predicted_classes(scores_MC).view(y_NP.shape)
    return predicted_NP if passages is None else best_spans(scores_MC, y_NP, passages.longest)


def position_scores(
    predicted_NP: Tensor, y_NP: Tensor, classes: Sequence[str], task: str, passages: Passages | None = None
) -> dict[str, Any]:
    """The scores of predicted classes of positions by the names of `Scores`, over those positions that have a label.

    Args:
        predicted_NP: predicted class indices of P positions of N samples.
        y_NP: their class indices, `IGNORED` where there is none.
        classes: the names of the classes.
        task: tokens, pixels or spans.
        passages: the texts of the samples, where answers are spans of them.
    """
    counted_NP = y_NP != IGNORED
    predicted_M, y_M = predicted_NP[counted_NP], y_NP[counted_NP]
    scores = {**classification_scores(predicted_M, y_M, classes), "scored_positions": len(y_M)}
    if passages is not None:
        return {**scores, **answer_scores(predicted_NP, passages)}
    if task == "pixels":
        return {**scores, **overlap_scores(predicted_M, y_M, len(classes))}
    return {**scores, **entity_scores(predicted_NP, y_NP, classes)} if is_bio(classes) else scores


def entity_scores(predicted_NP: Tensor, y_NP: Tensor, classes: Sequence[str]) -> dict[str, Any]:
    """The F1 of whole entities over all samples, by seqeval, which counts as conlleval does; and that of each type.

    An entity is right where its type, its beginning and its end are. Nakayama, seqeval: a Python framework for sequence
    labeling evaluation, 2018. https://github.com/chakki-works/seqeval
    """
    from seqeval.metrics import classification_report

    actual, predicted = (
        [_tags(sample, y, classes) for sample, y in zip(of_samples, y_NP, strict=True)] for of_samples in (y_NP, predicted_NP)
    )
    report: dict[str, dict[str, float]] = classification_report(actual, predicted, output_dict=True, zero_division=0)
    averages = ("micro avg", "macro avg", "weighted avg")
    by_type = {name: float(scores["f1-score"]) for name, scores in report.items() if name not in averages}
    return {"entity_f1": float(report["micro avg"]["f1-score"]), "per_entity_f1": by_type}


def _tags(index_P: Tensor, y_P: Tensor, classes: Sequence[str]) -> list[str]:
    """The tags of those positions of a sample that have a label."""
    return [classes[index] for index in index_P[y_P != IGNORED].tolist()]


def overlap_scores(predicted_M: Tensor, y_M: Tensor, classes: int) -> dict[str, float]:
    """The mean over classes of intersection over union and of the Dice score, over all pixels of all samples, by torchmetrics.

    Args:
        predicted_M: the predicted classes of M pixels.
        y_M: their classes.
        classes: C; a class that is neither predicted nor there counts in no mean.
    """
    from torchmetrics.functional.classification import multiclass_f1_score, multiclass_jaccard_index

    present = torch.bincount(torch.cat([predicted_M, y_M]), minlength=classes) > 0
    options: dict[str, Any] = {"num_classes": classes, "average": "none", "validate_args": False}
    iou_C = multiclass_jaccard_index(predicted_M, y_M, **options)
    dice_C = multiclass_f1_score(predicted_M, y_M, **options)
    return {"mean_iou": float(iou_C[present].double().mean()), "dice": float(dice_C[present].double().mean())}
