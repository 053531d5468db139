"""Ridge on the few labelled target rows alone: what a linear transfer must beat to be worth it."""

from __future__ import annotations

from pydantic import Field

from tlbench.methods import shallow
from tlbench.methods.base import Predictor, ShallowMethod
from tlbench.solvers import base_learners
from tlbench.terms import Task


class TargetRidge(ShallowMethod):
    """Minimises |y - W x - b|^2 + |W|^2 / c over the few, the intercept free."""

    reads = frozenset({"target_labeled"})
    tasks = shallow.BOTH_TASKS
    c: float = Field(1.0, gt=0, description="inverse penalty")

    def fit(self, task: Task) -> Predictor:
        """In float64, in the smaller of the two spaces, columns or rows."""
        assert task.target_labeled is not None
        x = shallow.sample_matrix(task.target_labeled.x, "target_labeled")
        scores = base_learners.fit_learner(
            "ridge", x, task.target_labeled.y, task.classes, c=self.c, regression=task.regression
        )
        return lambda x: scores(x.flatten(1))
