"""Multinomial logistic regression on the raw inputs of the source: the linear baseline."""

from __future__ import annotations

from pydantic import Field

from tlbench.methods import shallow
from tlbench.methods.base import Predictor, ShallowMethod
from tlbench.solvers import base_learners
from tlbench.terms import Task


class Logistic(ShallowMethod):
    """Minimises sum CE + |W|^2 / (2 c), the intercept free; c is that of scikit-learn (half of it for two classes)."""

    reads = frozenset({"source"})
    version = 2
    c: float = Field(1.0, gt=0, description="inverse penalty")
    iterations: int = Field(200, ge=1, description="Newton steps, at most; a record notes where they do not suffice")

    def fit(self, task: Task) -> Predictor:
        """The fit is in float64, by Newton's method."""
        source = shallow.source_samples(self, task)
        scores = base_learners.fit_logistic(
            source.x, source.y, task.classes, penalty=1 / self.c, iterations=self.iterations, note=self.note
        )
        return lambda x: scores(x.flatten(1))
