"""Multinomial logistic regression on the labelled target samples alone: a linear probe that a solver fits.

Tian, Wang, Krishnan, Tenenbaum and Isola, Rethinking few-shot image classification: a good embedding is all you need?,
ECCV 2020. https://arxiv.org/abs/2003.11539
"""

from __future__ import annotations

import torch.nn.functional as F
from pydantic import Field
from torch import Tensor

from tlbench.methods import shallow
from tlbench.methods.base import Predictor, ShallowMethod
from tlbench.solvers import base_learners
from tlbench.terms import Task


class TargetLogistic(ShallowMethod):
    """Minimises sum CE + |W|^2 / (2 c) over the labelled target samples, the intercept free; c is that of scikit-learn."""

    reads = frozenset({"target_labeled"})
    c: float = Field(1.0, gt=0, description="inverse penalty")
    normalized: bool = Field(False, description="samples of norm 1, as in the paper, which takes c = 1")
    iterations: int = Field(200, ge=1, description="Newton steps, at most; a record notes where they do not suffice")

    def fit(self, task: Task) -> Predictor:
        """The fit is in float64, by Newton's method."""
        samples = shallow.target_labeled_samples(task)
        scores = base_learners.fit_logistic(
            self._scaled(samples.x), samples.y, task.classes, penalty=1 / self.c, iterations=self.iterations, note=self.note
        )
        return lambda x: scores(self._scaled(x.flatten(1).double()))

    def _scaled(self, x_ND: Tensor) -> Tensor:
        return F.normalize(x_ND, dim=1) if self.normalized else x_ND
