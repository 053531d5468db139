"""BBSE: the target's class shares from a classifier's predictions and its confusion on the source weight the samples by class.

Lipton, Wang and Smola, Detecting and correcting for label shift with black box predictors, ICML 2018.
https://arxiv.org/abs/1802.03916
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor

from tlbench.errors import TlbenchError
from tlbench.methods.reweighting import ReweightingMethod
from tlbench.solvers import base_learners, sampling
from tlbench.solvers.reweighting import label_shift
from tlbench.terms import Labelled, Task


class BBSE(ReweightingMethod):
    """w = J^-1 q with J[i, j] = P_s(f = i, y = j) on left-out samples and q[i] = P_t(f = i); a sample is weighted by w[y].

    f is the learner itself without weights, fitted out of fold. Directions of J below `floor` of its largest are left out,
    negative weights are 0.
    """

    tasks = frozenset({"classification"})
    soft: bool = Field(False, description="mean probabilities of f in place of shares of its predictions (logistic only)")
    folds: int = Field(5, ge=2, description="folds of the cross-fitted confusion")
    floor: float = Field(1e-2, gt=0, lt=1, description="least singular value of J that is inverted, as a share of the largest")

    def weights(self, source: Labelled, target_MD: Tensor, task: Task) -> Tensor:
        """The confusion is cross-fitted; the target's shares are those of one fit on all source samples.

        Raises:
            TlbenchError: There is one source sample.
        """
        if len(source.y) < 2:
            raise TlbenchError("bbse: There is one source sample, but a confusion matrix out of fold needs two or more.")
        soft = self.soft and self.learner == "logistic"
        if self.soft and not soft:
            self.note(f"The learner {self.learner} gives no probabilities: shares of its predictions are used.")
        fold = sampling.stratified_folds(source.x, source.y, self.folds)

        def predictions(mask: Tensor, x: Tensor) -> Tensor:
            fit = base_learners.fit_learner
            scores = fit(self.learner, source.x[mask], source.y[mask], task.classes, c=self.c, note=self.note)(x)
            return scores.softmax(dim=1) if soft else F.one_hot(scores.argmax(dim=1), task.classes).to(x)

        predicted_NC = torch.zeros(len(source.y), task.classes).to(source.x)
        for k in fold.unique().tolist():
            predicted_NC[fold == k] = predictions(fold != k, source.x[fold == k])
        share_C = predictions(fold >= 0, target_MD).mean(dim=0)
        joint_CC = predicted_NC.T @ F.one_hot(source.y, task.classes).to(predicted_NC) / len(source.y)
        weight_C, omitted = label_shift.class_weights(joint_CC, share_C, self.floor)
        if omitted:
            self.note(f"The confusion matrix is singular: {omitted} of {task.classes} directions are left out.")
        return weight_C[source.y]
