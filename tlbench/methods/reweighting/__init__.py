"""Methods that weight the source samples by how much they resemble the target."""

from __future__ import annotations

import torch
from pydantic import Field
from torch import Tensor

from tlbench.methods import shallow
from tlbench.methods.base import Predictor, ShallowMethod
from tlbench.solvers import base_learners
from tlbench.terms import Labelled, Task

MIN_EFFECTIVE_SHARE, MIN_EFFECTIVE_COUNT = 0.02, 5
"""The effective number of source samples, as a share and as a count, below which the record gets a note."""


class ReweightingMethod(ShallowMethod):
    """A weight for each source sample, then a learner on the weighted samples: the base of this family's shallow methods.

    Weights are scaled to mean 1 before the learner sees them. Where all of them vanish the samples are weighted equally, and
    the record gets a note. Several sources are pooled.
    """

    reads = frozenset({"source", "target"})
    tasks = shallow.BOTH_TASKS
    learner: base_learners.WeightedLearner = Field("logistic", description="fitted on the weighted samples; regression: ridge")
    c: float = Field(1.0, gt=0, description="inverse penalty of the learner, for weights of mean 1")

    def weights(self, source: Labelled, target_MD: Tensor, task: Task) -> Tensor:
        """Weights (N,) of any scale, none negative.

        Args:
            source: x (N, D) in float64, with labels.
            target_MD: target samples (M, D) in float64.
            task: its classes and whether it is a regression.
        """
        raise NotImplementedError

    def fit(self, task: Task) -> Predictor:
        """Compute the weights, then fit the learner."""
        source, target = shallow.source_samples(self, task), shallow.target_samples(task)
        weights = self.normalize(self.weights(source, target, task))
        scores = base_learners.fit_learner(
            self.learner,
            source.x,
            source.y,
            task.classes,
            weight_N=weights,
            c=self.c,
            regression=task.regression,
            note=self.note,
        )
        return lambda x: scores(x.flatten(1))

    def normalize(self, weight_N: Tensor) -> Tensor:
        """The weights at mean 1, or equal weights where all vanish or one is not finite; the record gets a note.

        It also gets one where the weights rest on few samples.
        """
        total = float(weight_N.sum())
        if not total > 0 or not bool(torch.isfinite(weight_N / total).all()):
            reason = "All weights vanish" if total == 0 else "The weights are not finite"
            self.note(f"{reason}: the source samples are weighted equally.")
            return torch.ones_like(weight_N)
        scaled = weight_N * (len(weight_N) / total)
        effective = float(scaled.sum().square() / scaled.square().sum())
        if effective < max(MIN_EFFECTIVE_SHARE * len(scaled), MIN_EFFECTIVE_COUNT):
            self.note(f"The weights rest on few samples: the effective number is {effective:.1f} of {len(scaled)} (Kish).")
        return scaled
