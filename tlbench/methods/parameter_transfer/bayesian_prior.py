"""Bayesian prior transfer: the posterior of a linear model after the source is its prior before the few labelled target rows.

The source's likelihood counts to a power, so that many source rows do not drown the few: Ibrahim and Chen, Power prior
distributions for regression models, Statistical Science 2000. Classes by Laplace's approximation at the source's mode.
"""

from __future__ import annotations

import torch
from pydantic import Field

from tlbench.methods import shallow
from tlbench.methods.base import Predictor, ShallowMethod
from tlbench.solvers import base_learners, gaussian_priors
from tlbench.terms import Labelled, Task

WIDE = 1000
"""Columns up to which the source's curvature is whole: C x D x D numbers."""
FREE = 1e-6
"""Precision of the intercept before the source."""


class BayesianPrior(ShallowMethod):
    """Precision of the prior: power x the source's curvature + I / tau2. Several sources are pooled.

    Regression: tau2 and the noise are those of the largest evidence of the source; the power is that of the largest evidence of
    the few. Classes: tau2 is c; the power is that of the least loss over 3 folds of the few.
    """

    reads = frozenset({"source", "target_labeled"})
    tasks = shallow.BOTH_TASKS
    power: float | None = Field(None, ge=0, le=1, description="of the source's likelihood; 1 is pooling; by default chosen")
    c: float = Field(1.0, gt=0, description="classes: prior variance of a weight before the source")

    def fit(self, task: Task) -> Predictor:
        """The intercept is a column of ones whose prior is nearly flat."""
        assert task.target_labeled is not None
        source = shallow.source_samples(self, task)
        few = Labelled(shallow.sample_matrix(task.target_labeled.x, "target_labeled"), task.target_labeled.y)
        w_CD = self._regression(source, few) if task.regression else self._classes(source, few, task.classes)
        return lambda x: gaussian_priors.with_ones(x.flatten(1)) @ w_CD.T

    def _regression(self, source: Labelled, few: Labelled) -> torch.Tensor:
        x, y = gaussian_priors.with_ones(source.x), source.y.double()
        near, said = gaussian_priors.with_ones(few.x), few.y.double()
        tau2, noise = gaussian_priors.evidence(source.x, y)
        flat = torch.full((x.shape[1],), 1 / tau2).to(x)
        flat[-1] = FREE
        nothing = x.new_zeros(x.shape[1], y.shape[1])

        def prior(power: float) -> tuple[torch.Tensor, torch.Tensor]:
            return gaussian_priors.posterior(x, y, flat.diag(), nothing, noise, power)

        tried = [self.power] if self.power is not None else [1.0, 0.3, 0.1, 0.03, 0.01, 0.003, 0.001, 1e-4]
        power = (
            max(tried, key=lambda a: gaussian_priors.log_evidence(near, said, *prior(a), noise)) if len(tried) > 1 else tried[0]
        )
        return gaussian_priors.posterior(near, said, *prior(power), noise)[1].T

    def _classes(self, source: Labelled, few: Labelled, classes: int) -> torch.Tensor:
        near = gaussian_priors.with_ones(few.x)
        weights, intercept = base_learners.softmax_regression(source.x, source.y, classes, penalty=1 / self.c)
        mode = torch.cat([weights, intercept[:, None]], dim=1)
        diagonal = mode.shape[1] > WIDE
        if diagonal:
            self.note(f"{mode.shape[1] - 1} columns: the source's precision by its diagonal")
        curvature = gaussian_priors.laplace_curvature(gaussian_priors.with_ones(source.x), mode, diagonal)
        flat = torch.full((mode.shape[1],), 1 / self.c).to(mode)
        flat[-1] = FREE

        def fit(power: float, rows: torch.Tensor) -> base_learners.Scorer:
            precision = power * curvature + (flat if diagonal else flat.diag())
            w = gaussian_priors.most_likely(
                near[rows], few.y[rows], mode, precision, iterations=gaussian_priors.EVIDENCE_TOLERANCE
            )
            return lambda x: x @ w.T

        power = self.power
        if power is None:
            tried = [1.0, 0.1, 0.01, 0.001]
            power = gaussian_priors.leave_one_out(near, few.y, False, tried, fit, folds=3) if len(near) >= 3 else 1.0
        precision = power * curvature + (flat if diagonal else flat.diag())
        return gaussian_priors.most_likely(near, few.y, mode, precision)
