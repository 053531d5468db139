"""1-nearest-neighbour on the raw inputs: no training, no adaptation.

Cover and Hart, Nearest neighbor pattern classification, IEEE Transactions on Information Theory 1967.
https://doi.org/10.1109/TIT.1967.1053964
"""

from __future__ import annotations

from tlbench.methods import shallow
from tlbench.methods.base import Predictor, ShallowMethod
from tlbench.solvers import nearest_neighbors
from tlbench.terms import Task


class NearestNeighbor(ShallowMethod):
    """The class of the nearest source sample, Euclidean, in float64.

    Where the nearest samples of several classes are equally near, it is the first of these classes.
    """

    reads = frozenset({"source"})

    def fit(self, task: Task) -> Predictor:
        """The predictor holds the source samples."""
        source = shallow.source_samples(self, task)
        scores = nearest_neighbors.fit_nearest_neighbor(source.x, source.y, task.classes)
        return lambda x: scores(x.flatten(1))
