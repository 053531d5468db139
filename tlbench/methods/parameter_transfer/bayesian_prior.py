"""Bayesian prior transfer: the posterior of a linear model given the source is the prior for the labelled target samples.

The source's likelihood is raised to a power, so that many source samples do not outweigh the target: Ibrahim and Chen, Power
prior distributions for regression models, Statistical Science 2000. https://doi.org/10.1214/ss/1009212673
"""

from __future__ import annotations

import torch
from pydantic import Field
from torch import Tensor

from tlbench.methods import shallow
from tlbench.methods.base import Predictor, ShallowMethod
from tlbench.solvers import base_learners, cross_validation, gaussian_priors, softmax
from tlbench.terms import Labelled, Task

MAX_FULL_COLUMNS = 1000
"""Columns up to which the source's curvature is a full matrix: C x D x D numbers."""


class BayesianPrior(ShallowMethod):
    """The prior precision is power x the source's curvature + I / tau2. Several sources are pooled.

    Regression: tau2 and the noise maximise the evidence of the source, the power that of the labelled target samples. Classes:
    Laplace's approximation at the source's mode; tau2 is c, the power is chosen by 3 folds of the labelled target samples.
    """

    reads = frozenset({"source", "target_labeled"})
    tasks = shallow.BOTH_TASKS
    version = 2
    power: float | None = Field(None, ge=0, le=1, description="of the source's likelihood; 1 is pooling; by default chosen")
    c: float = Field(1.0, gt=0, description="classes: prior variance of a weight before the source")

    def fit(self, task: Task) -> Predictor:
        """One posterior of the source, one of the target; the intercept is the weight of a column of ones."""
        source, target = shallow.source_samples(self, task), shallow.target_labeled_samples(task)
        w_CD = self._regression(source, target) if task.regression else self._classification(source, target, task.classes)
        return lambda x: gaussian_priors.with_intercept_column(x.flatten(1)) @ w_CD.T

    def _regression(self, source: Labelled, target: Labelled) -> Tensor:
        x, y = gaussian_priors.with_intercept_column(source.x), source.y.double()
        x_target, y_target = gaussian_priors.with_intercept_column(target.x), target.y.double()
        tau2, noise = gaussian_priors.maximize_evidence(source.x, y)
        precision = gaussian_priors.prior_precision(1 / tau2, x).diag()
        zeros = x.new_zeros(x.shape[1], y.shape[1])

        def prior(power: float) -> tuple[Tensor, Tensor]:
            return gaussian_priors.posterior(x, y, precision, zeros, noise, power)

        def evidence(power: float) -> float:
            return gaussian_priors.log_evidence(x_target, y_target, *prior(power), noise)

        candidates = [1.0, 0.3, 0.1, 0.03, 0.01, 0.003, 0.001, 1e-4]
        power = max(candidates, key=evidence) if self.power is None else self.power
        return gaussian_priors.posterior(x_target, y_target, *prior(power), noise)[1].T

    def _classification(self, source: Labelled, target: Labelled, classes: int) -> Tensor:
        x_target = gaussian_priors.with_intercept_column(target.x)
        weights, intercept = softmax.softmax_regression(source.x, source.y, classes, penalty=1 / self.c, note=self.note)
        mode = torch.cat([weights, intercept[:, None]], dim=1)
        diagonal = mode.shape[1] > MAX_FULL_COLUMNS
        if diagonal:
            self.note(f"The source's precision is diagonal: there are {mode.shape[1] - 1} columns.")
        curvature = gaussian_priors.laplace_curvature(gaussian_priors.with_intercept_column(source.x), mode, diagonal)
        prior = gaussian_priors.prior_precision(1 / self.c, mode)

        def coefficients(power: float, indices: Tensor) -> Tensor:
            precision = power * curvature + (prior if diagonal else prior.diag())
            return gaussian_priors.map_coefficients(x_target[indices], target.y[indices], mode, precision, note=self.note)

        def fit(power: float, indices: Tensor) -> base_learners.Scorer:
            w = coefficients(power, indices)
            return lambda x: x @ w.T

        power = self.power
        if power is None:
            choose = cross_validation.choose_candidate
            power = choose(x_target, target.y, False, [1.0, 0.1, 0.01, 0.001], fit, folds=3) if len(x_target) >= 3 else 1.0
        return coefficients(power, torch.arange(len(x_target), device=x_target.device))
