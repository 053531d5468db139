"""BBSE: class shares of the target from a classifier's predictions and its confusion on the source; rows weigh by their class.

Lipton, Wang and Smola, Detecting and correcting for label shift with black box predictors, ICML 2018.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor

from tlbench.errors import TlbenchError
from tlbench.methods.reweighting import ReweightingMethod
from tlbench.solvers import base_learners, label_shift, nystrom
from tlbench.terms import Labelled, Task


class BBSE(ReweightingMethod):
    """w = J^-1 q with J[i, j] = P_s(f = i, y = j) on rows that f did not see, q[i] = P_t(f = i); the weight of a row is w[y].

    f is the learner itself without weights, fitted out of fold. Directions of J below `floor` of its largest are left out,
    negative weights are 0.
    """

    tasks = frozenset({"classification"})
    soft: bool = Field(False, description="mean probabilities of f in place of shares of its predictions (logistic only)")
    folds: int = Field(5, ge=2, description="parts for the confusion out of fold")
    floor: float = Field(1e-2, gt=0, lt=1, description="least singular value of J that is inverted, as a share of the largest")

    def weights(self, source: Labelled, target_MD: Tensor, task: Task) -> Tensor:
        """Cross-fitted confusion, one fit on all rows for the target."""
        if len(source.y) < 2:
            raise TlbenchError("bbse: one source row, and the confusion of a classifier is of rows that it did not see")
        soft = self.soft and self.learner == "logistic"
        if self.soft and not soft:
            self.note(f"{self.learner} gives no probabilities: shares of its predictions")
        fold = nystrom.stratified_folds(source.x, source.y, self.folds)

        def said(rows: Tensor, x: Tensor) -> Tensor:
            scores = base_learners.fit_learner(self.learner, source.x[rows], source.y[rows], task.classes, c=self.c)(x)
            return scores.softmax(dim=1) if soft else F.one_hot(scores.argmax(dim=1), task.classes).to(x)

        predicted_NC = torch.zeros(len(source.y), task.classes).to(source.x)
        for k in fold.unique().tolist():
            predicted_NC[fold == k] = said(fold != k, source.x[fold == k])
        share_C = said(fold >= 0, target_MD).mean(dim=0)
        joint_CC = predicted_NC.T @ F.one_hot(source.y, task.classes).to(predicted_NC) / len(source.y)
        weight_C, lost = label_shift.class_weights(joint_CC, share_C, self.floor)
        if lost:
            self.note(f"confusion matrix singular: {lost} of {task.classes} directions left out")
        return weight_C[source.y]
