"""Biased regularisation: a linear model of the labelled target samples, pulled towards the source's weights instead of 0.

Chelba and Acero, Adaptation of maximum entropy capitalizer: little data can help a lot, EMNLP 2004.
https://aclanthology.org/W04-3237
"""

from __future__ import annotations

from typing import Literal

import torch
from pydantic import Field
from torch import Tensor

from tlbench.methods import shallow
from tlbench.methods.base import Predictor, ShallowMethod
from tlbench.solvers import base_learners, cross_validation
from tlbench.solvers.softmax import softmax_regression
from tlbench.terms import Labelled, Task


class BiasedRegularization(ShallowMethod):
    """min loss(labelled target) + penalty |W - W_s|^2 (logistic: half of it), W_s the source's weights, intercepts free.

    Several sources: W_s is the mean of their weights. The penalty is chosen by 3 folds of the labelled target samples.
    """

    reads = frozenset({"source", "target_labeled"})
    tasks = shallow.BOTH_TASKS
    learner: Literal["logistic", "ridge"] = Field("logistic", description="of both domains; in a regression it is ridge")
    c: float = Field(1.0, gt=0, description="inverse penalty of the source's model")
    penalty: float | None = Field(None, gt=0, description="of the change; by default one of 10^-1 to 10^3, cross-validated")

    def fit(self, task: Task) -> Predictor:
        """One fit for each source, then one on what these do not explain in the labelled target samples."""
        source, target = shallow.source_samples(self, task, pooled=False), shallow.target_labeled_samples(task)
        x, y = target.x, target.y
        least_squares = task.regression or self.learner == "ridge"
        start = self._source_model(source, task, least_squares)
        if least_squares and not task.regression:
            y = base_learners.signed_one_hot(y, task.classes)

        def fit(penalty: float, indices: Tensor) -> base_learners.Scorer:
            if least_squares:
                w, b = base_learners.ridge_regression(x[indices], y[indices], penalty=penalty, toward_KD=start[0])
            else:
                offset = x[indices] @ start[0].T + start[1]
                v, shift = softmax_regression(
                    x[indices], y[indices], task.classes, penalty=penalty, offset_NC=offset, note=self.note
                )
                w, b = start[0] + v, start[1] + shift
            return lambda x: x.flatten(1).double() @ w.T + b

        penalty = self.penalty
        if penalty is None and len(y) < 3:
            self.note("The penalty is 1: there are fewer than 3 labelled target samples to choose it on.")
            penalty = 1.0
        elif penalty is None:
            candidates = [10.0**k for k in (3, 2, 1, 0, -1)]
            penalty = cross_validation.choose_candidate(x, y, least_squares, candidates, fit, folds=3)
        return fit(penalty, torch.arange(len(y), device=y.device))

    def _source_model(self, source: Labelled, task: Task, least_squares: bool) -> tuple[Tensor, Tensor]:
        """Weights (C, D) and intercept (C,): the mean over the sources."""
        domain = torch.zeros(len(source), device=source.x.device) if source.domain is None else source.domain
        masks = [domain == d for d in domain.unique()]
        if len(masks) > 1:
            self.note(f"The weights are the mean over {len(masks)} sources.")
        models = []
        for mask in masks:
            x, y = source.x[mask], source.y[mask]
            if least_squares:
                columns = y.double() if task.regression else base_learners.signed_one_hot(y, task.classes)
                models.append(base_learners.ridge_regression(x, columns, penalty=1 / self.c))
            else:
                models.append(softmax_regression(x, y, task.classes, penalty=1 / self.c, note=self.note))
        weights, intercepts = zip(*models, strict=True)
        return torch.stack(weights).mean(dim=0), torch.stack(intercepts).mean(dim=0)
