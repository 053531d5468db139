"""OTDD: the optimal transport distance of two labelled data sets, with classes compared as Gaussians. It reads target labels.

Alvarez-Melis and Fusi, Geometric dataset distances via optimal transport, NeurIPS 2020. https://arxiv.org/abs/2002.02923

The two sides need no class in common. The exact plan takes the extra `ot` and grows with the cube of the samples.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tlbench.data.divergence import joint_components
from tlbench.errors import TlbenchError
from tlbench.transferability.domains._sides import DomainScore
from tlbench.transferability.inputs import Array, Floats, Inputs

MAX_ITERATIONS = 1_000_000


@dataclass(frozen=True)
class OTDD(DomainScore):
    """Minus the least mean of |x - x'|^2 + W^2(class of x, class of x')."""

    reads = ("source_features", "source_labels", "target_features", "target_labels")

    def value(self, inputs: Inputs) -> float:
        """At most 0."""
        from scipy.spatial.distance import cdist

        try:
            import ot
        except ImportError as error:
            raise TlbenchError("OTDD computes an optimal transport plan. Install it: pip install tlbench[ot].") from error
        source, target = self.subsamples(inputs, equal=False)
        sides = inputs.source_features[source], inputs.target_features[target]
        a, b = joint_components(*sides) if self.components else sides
        (classes_a, a_of), (classes_b, b_of) = (
            _gaussians(side, labels) for side, labels in ((a, inputs.source_labels[source]), (b, inputs.target_labels[target]))
        )
        between = np.array([[_wasserstein2(one, other) for other in classes_b] for one in classes_a])
        cost = cdist(a, b, "sqeuclidean") + between[np.ix_(a_of, b_of)]
        return -float(ot.emd2(ot.unif(len(a)), ot.unif(len(b)), cost, numItermax=MAX_ITERATIONS))


def _gaussians(features: Floats, labels: Array) -> tuple[list[tuple[Floats, Floats]], Array]:
    """The mean and the covariance of each class, and the index of the class of each sample; one sample has no covariance."""
    classes, indices = np.unique(labels, return_inverse=True)
    gaussians = []
    for index in range(len(classes)):
        of_class = features[indices == index]
        gaussians.append((of_class.mean(axis=0), np.atleast_2d(np.cov(of_class, rowvar=False, bias=True))))
    return gaussians, indices


def _wasserstein2(one: tuple[Floats, Floats], other: tuple[Floats, Floats]) -> float:
    """The squared 2-Wasserstein distance of two Gaussians."""
    (mean_a, a), (mean_b, b) = one, other
    cross = np.sqrt(np.clip(np.linalg.eigvals(a @ b).real, 0, None)).sum()
    return float(np.square(mean_a - mean_b).sum() + max(np.trace(a) + np.trace(b) - 2 * cross, 0.0))
