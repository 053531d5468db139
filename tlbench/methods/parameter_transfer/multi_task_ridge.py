"""Multi-task ridge: every domain has weights of its own around a mean that all share.

Evgeniou and Pontil, Regularized multi-task learning, KDD 2004 (with the square loss).
"""

from __future__ import annotations

import torch
from pydantic import Field
from torch import Tensor

from tlbench.methods import shallow
from tlbench.methods.base import Predictor, ShallowMethod
from tlbench.solvers import base_learners, gaussian_priors
from tlbench.terms import Labelled, Task


class MultiTaskRidge(ShallowMethod):
    """min sum_t |y_t - X_t (w_0 + v_t) - b_t|^2 + common |w_0|^2 + own sum_t |v_t|^2.

    Each source is a task, the few are the last. Classes are columns of -1 and 1. Intercepts are free. `own` is the one of the
    least error over 5 folds of the few.
    """

    reads = frozenset({"source", "target_labeled"})
    tasks = shallow.BOTH_TASKS
    common: float = Field(1.0, gt=0, description="penalty of the shared weights")
    own: float | None = Field(None, gt=0, description="penalty of what a task adds; by default one of 10^-1 to 10^5")

    def fit(self, task: Task) -> Predictor:
        """One linear system for the shared weights, one for each task."""
        assert task.target_labeled is not None
        source, few = (
            shallow.source_samples(self, task, pooled=False),
            Labelled(shallow.sample_matrix(task.target_labeled.x, "target_labeled"), task.target_labeled.y),
        )
        domain = torch.zeros_like(source.y[..., 0] if task.regression else source.y) if source.domain is None else source.domain
        others = [_centred(source[domain == d], task)[:2] for d in domain.unique()]

        def fit(own: float, rows: Tensor) -> base_learners.Scorer:
            x, y, mean_x, mean_y = _centred(few[rows], task)
            shared, each = gaussian_priors.mean_regularised([*others, (x, y)], self.common, own)
            w = shared + each[-1]
            return lambda x: (x.flatten(1).double() - mean_x) @ w + mean_y

        own = self.own
        columns = few.y.double() if task.regression else base_learners.signs(few.y, task.classes)
        if own is None and len(few) < 3:
            self.note("fewer than 3 labelled target rows: own = 1")
        if own is None:
            tried = [10.0**k for k in (2, 3, 1, 4, 0, 5, -1)]
            own = gaussian_priors.leave_one_out(few.x, columns, True, tried, fit) if len(few) >= 3 else 1.0
        return fit(own, torch.arange(len(few), device=few.y.device))


def _centred(rows: Labelled, task: Task) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Rows and columns about their means, and the means."""
    y = rows.y.double() if task.regression else base_learners.signs(rows.y, task.classes)
    mean_x, mean_y = rows.x.mean(dim=0), y.mean(dim=0)
    return rows.x - mean_x, y - mean_y, mean_x, mean_y
