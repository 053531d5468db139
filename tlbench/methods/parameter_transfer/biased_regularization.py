"""Biased regularisation: a linear model of the few labelled target rows, pulled towards the source's weights instead of 0.

Chelba and Acero, Adaptation of maximum entropy capitalizer: little data can help a lot, EMNLP 2004.
"""

from __future__ import annotations

from typing import Literal

import torch
from pydantic import Field
from torch import Tensor

from tlbench.methods import shallow
from tlbench.methods.base import Predictor, ShallowMethod
from tlbench.solvers import base_learners, gaussian_priors
from tlbench.terms import Task


class BiasedRegularization(ShallowMethod):
    """min loss of the few + penalty |W - W_s|^2 (logistic: half of it), W_s the source's, intercepts free.

    Several sources: W_s is the mean of their weights. The penalty is the one of the least loss over 3 folds of the few.
    """

    reads = frozenset({"source", "target_labeled"})
    tasks = shallow.BOTH_TASKS
    learner: Literal["logistic", "ridge"] = Field("logistic", description="of both domains; in a regression it is ridge")
    c: float = Field(1.0, gt=0, description="inverse penalty of the source's model")
    penalty: float | None = Field(None, gt=0, description="the pull; by default one of 10^-1 to 10^3, over folds of the few")

    def fit(self, task: Task) -> Predictor:
        """One fit for each source; then the few, in what the source does not explain."""
        assert task.target_labeled is not None
        source, x, y = (
            shallow.source_samples(self, task, pooled=False),
            shallow.sample_matrix(task.target_labeled.x, "target_labeled"),
            task.target_labeled.y,
        )
        least_squares = task.regression or self.learner == "ridge"
        start = self._source(source.x, source.y, source.domain, task, least_squares)
        if least_squares and not task.regression:
            y = base_learners.signs(y, task.classes)

        def fit(penalty: float, rows: Tensor, iterations: int = gaussian_priors.EVIDENCE_TOLERANCE) -> base_learners.Scorer:
            if least_squares:
                w, b = base_learners.ridge_regression(x[rows], y[rows], penalty=penalty, toward_KD=start[0])
            else:
                offset = x[rows] @ start[0].T + start[1]
                v, shift = base_learners.softmax_regression(
                    x[rows], y[rows], task.classes, penalty=penalty, iterations=iterations, offset_NC=offset
                )
                w, b = start[0] + v, start[1] + shift
            return lambda x: x.flatten(1).double() @ w.T + b

        penalty = self.penalty
        if penalty is None and len(y) < 3:
            self.note("fewer than 3 labelled target rows: penalty 1")
            penalty = 1.0
        elif penalty is None:
            penalty = gaussian_priors.leave_one_out(x, y, least_squares, [10.0**k for k in (3, 2, 1, 0, -1)], fit, folds=3)
        return fit(penalty, torch.arange(len(y), device=y.device), iterations=200)

    def _source(self, x: Tensor, y: Tensor, domain: Tensor | None, task: Task, least_squares: bool) -> tuple[Tensor, Tensor]:
        """Weights (C, D) and intercept (C,): the mean over the sources."""
        sources = [x.new_zeros(len(x)).long() == 0] if domain is None else [domain == d for d in domain.unique()]
        if len(sources) > 1:
            self.note(f"{len(sources)} sources: the mean of their weights")
        models = []
        for one in sources:
            if least_squares:
                columns = y[one].double() if task.regression else base_learners.signs(y[one], task.classes)
                models.append(base_learners.ridge_regression(x[one], columns, penalty=1 / self.c))
            else:
                models.append(base_learners.softmax_regression(x[one], y[one], task.classes, penalty=1 / self.c))
        weights, intercepts = zip(*models, strict=True)
        return torch.stack(weights).mean(dim=0), torch.stack(intercepts).mean(dim=0)
