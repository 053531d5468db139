"""Ridge on the raw inputs of the source: the linear baseline of a regression, and least squares on -1 and 1 for classes.

Hoerl and Kennard, Ridge regression: biased estimation for nonorthogonal problems, Technometrics 1970.
https://doi.org/10.1080/00401706.1970.10488634
"""

from __future__ import annotations

from pydantic import Field

from tlbench.methods import shallow
from tlbench.methods.base import Predictor, ShallowMethod
from tlbench.solvers import base_learners
from tlbench.terms import Task


class Ridge(ShallowMethod):
    """Minimises |y - W x - b|^2 + |W|^2 / c over the source samples, the intercept free."""

    reads = frozenset({"source"})
    tasks = shallow.BOTH_TASKS
    c: float = Field(1.0, gt=0, description="inverse penalty")

    def fit(self, task: Task) -> Predictor:
        """One linear system in float64, in the smaller of the two spaces, columns or samples."""
        source = shallow.source_samples(self, task)
        scores = base_learners.fit_learner("ridge", source.x, source.y, task.classes, c=self.c, regression=task.regression)
        return lambda x: scores(x.flatten(1))
