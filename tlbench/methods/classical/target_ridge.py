"""Ridge on the labelled target samples alone: the reference that a linear transfer method must beat."""

from __future__ import annotations

from pydantic import Field

from tlbench.methods import shallow
from tlbench.methods.base import Predictor, ShallowMethod
from tlbench.solvers import base_learners
from tlbench.terms import Task


class TargetRidge(ShallowMethod):
    """Minimises |y - W x - b|^2 + |W|^2 / c over the labelled target samples, the intercept free."""

    reads = frozenset({"target_labeled"})
    tasks = shallow.BOTH_TASKS
    c: float = Field(1.0, gt=0, description="inverse penalty")

    def fit(self, task: Task) -> Predictor:
        """One linear system in float64, in the smaller of the two spaces, columns or samples."""
        target = shallow.target_labeled_samples(task)
        scores = base_learners.fit_learner("ridge", target.x, target.y, task.classes, c=self.c, regression=task.regression)
        return lambda x: scores(x.flatten(1))
