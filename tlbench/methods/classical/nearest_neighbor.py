"""1-nearest-neighbour on the raw inputs: no training, no adaptation.

Cover and Hart, Nearest neighbor pattern classification, IEEE Transactions on Information Theory 1967.
https://doi.org/10.1109/TIT.1967.1053964
"""

from __future__ import annotations

from typing import Literal

import torch
from pydantic import Field
from torch import Tensor

from tlbench.methods import shallow
from tlbench.methods.base import Predictor, ShallowMethod
from tlbench.solvers import nearest_neighbors
from tlbench.terms import Task


class NearestNeighbor(ShallowMethod):
    """The class of the nearest source sample, by the Euclidean or the cosine distance, in float64.

    Where the nearest samples of several classes are equally near, it is the first of these classes.
    """

    reads = frozenset({"source"})
    distance: Literal["euclidean", "cosine"] = Field("euclidean", description="between samples; cosine: of their angle")

    def fit(self, task: Task) -> Predictor:
        """The predictor holds the source samples."""
        source = shallow.source_samples(self, task)
        scores = nearest_neighbors.fit_nearest_neighbor(self._scaled(source.x), source.y, task.classes)
        return lambda x: scores(self._scaled(x.flatten(1)))

    def _scaled(self, x_ND: Tensor) -> Tensor:
        """Samples (N, D); for cosine, of Euclidean norm 1: the order of distances is then that of angles."""
        return torch.nn.functional.normalize(x_ND.double(), dim=1) if self.distance == "cosine" else x_ND
