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
}
"""By name, the scores that `protocol.metric` may name: those up to `unknown_accuracy` for classification, the
others for regression."""

REGRESSION_METRICS = ("r2", "rmse", "mae")
TASK_METRIC = "task_score"
"""The metric of suites of several tasks: the mean over tasks of accuracy, or of explained variance for a regression."""
OPEN_SET_METRICS = ("h_score", "known_accuracy", "unknown_accuracy")
"""Metrics of suites whose target has classes that no source has, and which methods call unknown."""
