"""k nearest neighbours: the leave-one-out accuracy of a vote of the nearest target samples.

Cover and Hart, Nearest neighbor pattern classification, IEEE Transactions on Information Theory 1967.
https://doi.org/10.1109/TIT.1967.1053964
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tlbench.transferability.base import TransferabilityScore
from tlbench.transferability.inputs import Inputs, class_indices


@dataclass(frozen=True)
class KNN(TransferabilityScore):
    """The share of samples whose neighbours vote for their class; a tie goes to the class of the nearest among the tied."""

    reads = ("target_features", "target_labels")
    neighbors: int = 5
    """Voters, up to the number of the other samples."""
    distance: str = "cosine"
    """`cosine` or `euclidean`."""

    def value(self, inputs: Inputs) -> float:
        """From 0 to 1."""
        from sklearn.neighbors import NearestNeighbors

        self.require(self.neighbors > 0, "neighbors", "1 or more")
        self.require(self.distance in ("cosine", "euclidean"), "distance", "cosine or euclidean")
        indices, classes = class_indices(inputs.target_labels)
        count = min(self.neighbors, len(indices) - 1)
        search = NearestNeighbors(n_neighbors=count, metric=self.distance, algorithm="brute").fit(inputs.target_features)
        voters = indices[search.kneighbors(return_distance=False)]
        votes = np.zeros((len(indices), classes))
        # what the nearest adds to its vote is more than all others add
        np.add.at(votes, (np.arange(len(indices))[:, None], voters), 1 + np.exp2(-np.arange(2.0, count + 2)))
        return float((votes.argmax(axis=1) == indices).mean())
