"""CORAL: colour the source rows with the target's covariance, then train a plain learner on them.

Sun, Feng and Saenko, Return of frustratingly easy domain adaptation, AAAI 2016. https://arxiv.org/abs/1511.05547
"""

from __future__ import annotations

from typing import Literal

import torch
from pydantic import Field

from tlbench.methods.base import Predictor, Solved
from tlbench.nn import distances, learners
from tlbench.terms import Task


class CoralMap(Solved):
    """x_s <- x_s C_s^(-1/2) C_t^(1/2) with C = cov + ridge I (divided by N - 1); nothing is centred, as in the paper."""

    reads = frozenset({"source", "target"})
    ridge: float = Field(1.0, gt=0, description="added to both covariances; 1 presumes z-scored columns")
    learner: Literal["svm", "logistic", "nearest_neighbor"] = Field("svm", description="trained on the mapped source rows")
    c: float = Field(1.0, gt=0, description="inverse penalty of svm and logistic")

    def fit(self, task: Task) -> Predictor:
        """In float64: one eigenproblem of size D for each domain."""
        assert task.source is not None and task.target is not None
        source, target = task.source.x.flatten(1).double(), task.target.flatten(1).double()
        ridge = self.ridge * torch.eye(source.shape[1], dtype=source.dtype, device=source.device)
        whiten = distances.power(distances.covariance(source) + ridge, -0.5)
        colour = distances.power(distances.covariance(target) + ridge, 0.5)
        mapped = source @ whiten @ colour
        if self.learner == "svm":
            scores = learners.svm(mapped, task.source.y, task.classes, c=self.c)
        elif self.learner == "logistic":
            scores = learners.logistic(mapped, task.source.y, task.classes, penalty=1 / self.c)
        else:
            scores = learners.nearest(mapped, task.source.y, task.classes)
        return lambda x: scores(x.flatten(1))
