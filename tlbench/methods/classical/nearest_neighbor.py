"""1-nearest-neighbour on the raw inputs: no training, no adaptation.

Cover and Hart, Nearest neighbor pattern classification, IEEE Transactions on Information Theory 1967.
"""

from __future__ import annotations

from tlbench.methods import parts
from tlbench.methods.base import Predictor, Solved
from tlbench.nn import learners
from tlbench.terms import Task


class NearestNeighbor(Solved):
    """The class of the nearest source row, Euclidean, in float64."""

    reads = frozenset({"source"})

    def fit(self, task: Task) -> Predictor:
        """Keeps the source rows."""
        source = parts.source(self, task)
        scores = learners.nearest(source.x, source.y, task.classes)
        return lambda x: scores(x.flatten(1))
