"""Source rows count as much as they resemble the target."""

from __future__ import annotations

import torch
from pydantic import Field
from torch import Tensor

from tlbench.methods import shallow
from tlbench.methods.base import Predictor, ShallowMethod
from tlbench.solvers import base_learners
from tlbench.terms import Labelled, Task

THIN, FEW = 0.02, 5
"""The effective number of source rows, as a share and as a count, below which the record says so."""


class ReweightingMethod(ShallowMethod):
    """A weight for each source row, then a learner on the weighted rows: what the solved methods of this family share.

    Weights are scaled to mean 1 before the learner sees them. Where all of them vanish the rows count alike, and the record
    says so. Rows of several sources are pooled.
    """

    reads = frozenset({"source", "target"})
    tasks = shallow.BOTH_TASKS
    learner: base_learners.Weighted = Field("logistic", description="trained on the weighted rows; in a regression it is ridge")
    c: float = Field(1.0, gt=0, description="inverse penalty of the learner, for weights of mean 1")

    def weights(self, source: Labelled, target_MD: Tensor, task: Task) -> Tensor:
        """Weights (N,) of any scale, none negative: source.x (N, D) and target rows (M, D) in float64."""
        raise NotImplementedError

    def fit(self, task: Task) -> Predictor:
        """Weigh the source rows, train on them."""
        source, target = shallow.source_samples(self, task), shallow.target_samples(task)
        weights = self.usable(self.weights(source, target, task))
        scores = base_learners.fit_learner(
            self.learner, source.x, source.y, task.classes, weight_N=weights, c=self.c, regression=task.regression
        )
        return lambda x: scores(x.flatten(1))

    def usable(self, weight_N: Tensor) -> Tensor:
        """Mean 1, whatever came out; the record says where the weights were no weights, or where few rows hold them all."""
        total = float(weight_N.sum())
        if not total > 0 or not bool(torch.isfinite(weight_N / total).all()):
            self.note(
                "all weights vanish: source rows count alike" if total == 0 else "weights not finite: source rows count alike"
            )
            return torch.ones_like(weight_N)
        scaled = weight_N * (len(weight_N) / total)
        effective = float(scaled.sum().square() / scaled.square().sum())
        if effective < max(THIN * len(scaled), FEW):
            self.note(f"weights rest on few rows: effectively {effective:.1f} of {len(scaled)} (Kish)")
        return scaled
