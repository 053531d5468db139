"""Location-scale map by maximum mean discrepancy: each class of the source is scaled and shifted onto the target.

Zhang, Schölkopf, Muandet and Wang, Domain adaptation under target and conditional shift, ICML 2013, section 4.
https://proceedings.mlr.press/v28/zhang13d.html
"""

from __future__ import annotations

import torch.nn.functional as F
from pydantic import Field

from tlbench.methods import shallow
from tlbench.methods.base import Predictor, ShallowMethod
from tlbench.solvers import location_scale
from tlbench.terms import Task


class MMDMap(ShallowMethod):
    """x -> (1 + G(y)) x + H(y), column by column, with G and H at a local minimum of MMD^2 + penalty (|G|^2 + |H|^2).

    The search starts from 0, and the record has the objective before and after: the problem is not convex. For classes G and H
    are tables; for a regression they are smooth functions of y, in the leading directions of a Gaussian kernel on y. The kernel
    on x has a fixed width during the fit. The penalty is a free parameter, small here: MMD^2 lies between 0 and 2.
    """

    reads = frozenset({"source", "target"})
    tasks = shallow.BOTH_TASKS
    version = 2
    penalty: float = Field(
        1e-3, ge=0, description="weight of the mean squared change of the source samples' scale and location"
    )
    gamma: float | None = Field(None, gt=0, description="exp(-gamma |x - y|^2); null: 1 / (2 median |x - y|^2)")
    iterations: int = Field(1000, ge=1, description="L-BFGS iterations, at most")
    landmarks: int = Field(1000, ge=1, description="more samples than this of a domain: the kernel through so many landmarks")
    learner: shallow.Learner = Field("logistic", description="fitted on the mapped source samples")
    c: float = Field(1.0, gt=0, description="inverse penalty of the learner, where it has one")

    def fit(self, task: Task) -> Predictor:
        """L-BFGS in float64 over 2 C D numbers."""
        source, target = shallow.source_samples(self, task), shallow.target_samples(task)
        basis = location_scale.label_basis(source.y) if task.regression else F.one_hot(source.y, task.classes).double()
        fitted = location_scale.fit_location_scale(
            source.x,
            target,
            basis,
            gamma=self.gamma,
            penalty=self.penalty,
            iterations=self.iterations,
            landmarks=self.landmarks,
        )
        self.note(f"MMD^2 + penalty goes from {fitted.initial_objective:.3g} to {fitted.final_objective:.3g}.")
        for remark in fitted.remarks:
            self.note(remark)
        scores = shallow.fit_learner(self, fitted.samples, source.y, task)
        return lambda x: scores(x.flatten(1))
