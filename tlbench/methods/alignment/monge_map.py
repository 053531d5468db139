"""Linear Monge map: the source samples move by the optimal transport map between two Gaussians, then a learner is fitted.

Knott and Smith, On the optimal mapping of distributions, Journal of Optimization Theory and Applications 1984.
https://doi.org/10.1007/BF00934745
Flamary, Lounici and Ferrari, Concentration bounds for linear Monge mapping estimation and optimal transport domain adaptation,
2019. https://arxiv.org/abs/1905.10155
"""

from __future__ import annotations

from pydantic import Field

from tlbench.methods import shallow
from tlbench.methods.base import Predictor, ShallowMethod
from tlbench.solvers import subspaces
from tlbench.terms import Task


class MongeMap(ShallowMethod):
    """x_s -> m_t + (x_s - m_s) A with A = C_s^(-1/2) (C_s^(1/2) C_t C_s^(1/2))^(1/2) C_s^(-1/2), covariances divided by N.

    Of all maps that give the source the target's mean and covariance it moves the samples least.
    """

    reads = frozenset({"source", "target"})
    tasks = shallow.BOTH_TASKS
    ridge: float = Field(1e-8, gt=0, description="added to both covariances, in units of their mean diagonal")
    learner: shallow.Learner = Field("logistic", description="fitted on the mapped source samples")
    c: float = Field(1.0, gt=0, description="inverse penalty of the learner, where it has one")

    def fit(self, task: Task) -> Predictor:
        """Two eigenproblems in float64; with more columns than samples, in the span of both domains."""
        source, target = shallow.source_samples(self, task), shallow.target_samples(task)
        mapped = subspaces.linear_monge_map(source.x, target, self.ridge)
        scores = shallow.fit_learner(self, mapped, source.y, task)
        return lambda x: scores(x.flatten(1))
