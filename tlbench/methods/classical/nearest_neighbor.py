"""1-nearest-neighbour on the raw inputs: no training, no adaptation.

Cover and Hart, Nearest neighbor pattern classification, IEEE Transactions on Information Theory 1967.
"""

from __future__ import annotations

from tlbench.methods import shallow
from tlbench.methods.base import Predictor, ShallowMethod
from tlbench.solvers import base_learners
from tlbench.terms import Task


class NearestNeighbor(ShallowMethod):
    """The class of the nearest source row, Euclidean, in float64."""

    reads = frozenset({"source"})

    def fit(self, task: Task) -> Predictor:
        """Keeps the source rows."""
        source = shallow.source_samples(self, task)
        scores = base_learners.nearest(source.x, source.y, task.classes)
        return lambda x: scores(x.flatten(1))
