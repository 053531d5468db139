"""Linear support vector machine on the raw inputs of the source: the other linear baseline.

Cortes and Vapnik, Support-vector networks, Machine Learning 1995. https://doi.org/10.1007/BF00994018
"""

from __future__ import annotations

from pydantic import Field

from tlbench.methods import shallow
from tlbench.methods.base import Predictor, ShallowMethod
from tlbench.solvers import base_learners
from tlbench.terms import Task


class LinearSVM(ShallowMethod):
    """libsvm's machine with a linear kernel, one against one for several classes."""

    reads = frozenset({"source"})
    c: float = Field(1.0, gt=0, description="inverse penalty")

    def fit(self, task: Task) -> Predictor:
        """The fit is in float64."""
        source = shallow.source_samples(self, task)
        scores = base_learners.fit_svm(source.x, source.y, task.classes, c=self.c)
        return lambda x: scores(x.flatten(1))
