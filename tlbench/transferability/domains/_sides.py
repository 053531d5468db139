"""Source and target features before they are compared: as many samples of each, on the principal components of both."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tlbench.data.divergence import joint_components
from tlbench.transferability.base import TransferabilityScore
from tlbench.transferability.inputs import Array, Floats, Inputs


@dataclass(frozen=True)
class DomainScore(TransferabilityScore):
    """A score of a source and a target; both sides have as many samples, so that no size is taken for a distance."""

    max_samples: int = 1000
    """Samples of a side; where it has more, or more than the other side, a random subsample is taken."""
    components: bool = True
    """Divide features by their pooled standard deviation, and project them on 32 principal components of mean variance 1."""
    random_state: int = 0
    """The seed of the subsample."""

    def sides(self, inputs: Inputs) -> tuple[Floats, Floats]:
        """The features of as many source and target samples."""
        source, target = (
            features[index]
            for features, index in zip(
                (inputs.source_features, inputs.target_features), self.subsamples(inputs, equal=True), strict=True
            )
        )
        return joint_components(source, target) if self.components else (source, target)

    def subsamples(self, inputs: Inputs, *, equal: bool) -> tuple[Array, Array]:
        """Indices of the compared samples of each side, as many on both where that is asked for."""
        self.require(self.max_samples > 1, "max_samples", "2 or more")
        self.require(self.random_state >= 0, "random_state", "0 or more")
        sizes = [len(inputs.source_features), len(inputs.target_features)]
        limits = [min(self.max_samples, *sizes)] * 2 if equal else [min(self.max_samples, size) for size in sizes]
        source, target = (
            np.random.default_rng([self.random_state, side]).permutation(size)[:limit]
            for side, (size, limit) in enumerate(zip(sizes, limits, strict=True))
        )
        return source, target
