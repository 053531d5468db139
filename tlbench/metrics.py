"""The metrics that a suite may compare its methods by: titles, units, and which direction is better."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Metric:
    """What the methods of a suite are compared by; `factor` turns what records hold into `unit`, `short` heads a column."""

    title: str
    unit: str
    factor: float
    higher_is_better: bool
    short: str = ""


METRICS: Mapping[str, Metric] = {
    "target_accuracy": Metric("target accuracy", "per cent", 100.0, True, "accuracy"),
    "macro_f1": Metric("macro F1", "per cent", 100.0, True, "macro F1"),
    "worst_group_accuracy": Metric("worst-group accuracy", "per cent", 100.0, True, "worst group"),
    "h_score": Metric("H-score", "per cent", 100.0, True, "H-score"),
    "known_accuracy": Metric("accuracy on known classes", "per cent", 100.0, True, "known"),
    "unknown_accuracy": Metric("accuracy on unknown samples", "per cent", 100.0, True, "unknown"),
    "r2": Metric("explained variance (R2)", "per cent", 100.0, True, "R2"),
    "rmse": Metric("root mean squared error", "target units", 1.0, False, "RMSE"),
    "mae": Metric("mean absolute error", "target units", 1.0, False, "MAE"),
    "task_score": Metric("mean score of the tasks", "per cent", 100.0, True, "task score"),
    "entity_f1": Metric("F1 of entities", "per cent", 100.0, True, "entity F1"),
    "mean_iou": Metric("mean intersection over union", "per cent", 100.0, True, "mean IoU"),
    "dice": Metric("mean Dice score", "per cent", 100.0, True, "Dice"),
    "answer_f1": Metric("F1 of answers", "per cent", 100.0, True, "answer F1"),
    "exact_match": Metric("exact match of answers", "per cent", 100.0, True, "exact match"),
}
"""By name, the scores that `protocol.metric` may name: those up to `unknown_accuracy` for classes, then those of regression, of
several tasks, of tokens, of pixels and of spans."""

REGRESSION_METRICS = ("r2", "rmse", "mae")
TASK_METRIC = "task_score"
"""The metric of suites of several tasks: the mean over tasks of accuracy, or of explained variance for a regression."""
POSITION_METRICS = {"tokens": ("entity_f1",), "pixels": ("mean_iou", "dice"), "spans": ("answer_f1", "exact_match")}
"""By task, the metrics that only it has; accuracy and macro F1 over positions come with them."""
METRIC_OF_TASK = {
    "regression": "r2",
    "multi_task": TASK_METRIC,
    "pixels": "mean_iou",
    "spans": "answer_f1",
}
"""By task, the metric where a suite names none; of other tasks the accuracy."""
OPEN_SET_METRICS = ("h_score", "known_accuracy", "unknown_accuracy")
"""Metrics of suites whose target has classes that no source has, and which methods call unknown."""


def position_error(task: str, metric: str, label_set: str) -> str | None:
    """Why a metric or a label set does not fit a task with an output for each position, with the way out; None where they do.

    Args:
        task: of the protocol; the metrics of such a task fit no other one.
        metric: of the protocol.
        label_set: of the protocol.
    """
    owner = next((name for name, metrics in POSITION_METRICS.items() if metric in metrics), None)
    if owner is not None and owner != task:
        return f"metric = {metric!r} is a metric of task = {owner!r}, and task is {task!r}. Choose another metric."
    if task not in POSITION_METRICS:
        return None
    if metric not in ("target_accuracy", "macro_f1", *POSITION_METRICS[task]):
        fitting = ", ".join(("target_accuracy", "macro_f1", *POSITION_METRICS[task]))
        return f"metric = {metric!r} is not a metric of task = {task!r}. Choose one of {fitting}."
    if label_set not in ("closed", "partial", "inductive"):
        return f"label_set = {label_set!r} is not possible with task = {task!r}. Choose 'closed', 'partial' or 'inductive'."
    return None
