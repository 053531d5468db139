"""Multi-task ridge: every domain has its own weights around a mean that all domains share.

Evgeniou and Pontil, Regularized multi-task learning, KDD 2004 (with the square loss). https://doi.org/10.1145/1014052.1014067
"""

from __future__ import annotations

import torch
from pydantic import Field
from torch import Tensor

from tlbench.methods import shallow
from tlbench.methods.base import Predictor, ShallowMethod
from tlbench.solvers import base_learners, cross_validation, multi_task
from tlbench.terms import Labelled, Task


class MultiTaskRidge(ShallowMethod):
    """min sum_t |y_t - X_t (w_0 + v_t) - b_t|^2 + common |w_0|^2 + own sum_t |v_t|^2.

    Each source is a task, the labelled target samples are the last. Classes are columns of -1 and 1. Intercepts are free. `own`
    is chosen by 5 folds of the labelled target samples.
    """

    reads = frozenset({"source", "target_labeled"})
    tasks = shallow.BOTH_TASKS
    common: float = Field(1.0, gt=0, description="penalty of the shared weights")
    own: float | None = Field(None, gt=0, description="penalty of a task's own weights; by default one of 10^-1 to 10^5")

    def fit(self, task: Task) -> Predictor:
        """One linear system for the shared weights, one for each task."""
        source, target = shallow.source_samples(self, task, pooled=False), shallow.target_labeled_samples(task)
        domain = torch.zeros_like(source.y[..., 0] if task.regression else source.y) if source.domain is None else source.domain
        source_tasks = [_center(source[domain == d], task)[:2] for d in domain.unique()]

        def fit(own: float, indices: Tensor) -> base_learners.Scorer:
            x, y, mean_x, mean_y = _center(target[indices], task)
            shared, own_weights = multi_task.mean_regularized([*source_tasks, (x, y)], self.common, own)
            w = shared + own_weights[-1]
            return lambda x: (x.flatten(1).double() - mean_x) @ w + mean_y

        own = self.own
        columns = target.y.double() if task.regression else base_learners.signed_one_hot(target.y, task.classes)
        if own is None and len(target) < 3:
            self.note("`own` is 1: there are fewer than 3 labelled target samples to choose it on.")
            own = 1.0
        elif own is None:
            candidates = [10.0**k for k in (2, 3, 1, 4, 0, 5, -1)]
            own = cross_validation.choose_candidate(target.x, columns, True, candidates, fit)
        return fit(own, torch.arange(len(target), device=target.y.device))


def _center(samples: Labelled, task: Task) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Samples and columns about their means, and the means."""
    y = samples.y.double() if task.regression else base_learners.signed_one_hot(samples.y, task.classes)
    mean_x, mean_y = samples.x.mean(dim=0), y.mean(dim=0)
    return samples.x - mean_x, y - mean_y, mean_x, mean_y
