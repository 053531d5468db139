"""H-score with a covariance shrunk by Ledoit and Wolf, for more features than samples.

Ibrahim, Ponomareva and Mazumder, Newer is not always better: rethinking transferability metrics, their peculiarities, stability
and performance, ECML PKDD 2022. https://arxiv.org/abs/2110.06893
Ledoit and Wolf, A well-conditioned estimator for large-dimensional covariance matrices, Journal of Multivariate Analysis 2004.
https://doi.org/10.1016/S0047-259X(03)00096-4
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tlbench.transferability.base import TransferabilityScore
from tlbench.transferability.inputs import Inputs, centered_features, class_indices, class_means


@dataclass(frozen=True)
class HScoreShrunk(TransferabilityScore):
    """(1 - a) tr(cov_a(F)^-1 cov(E[F | y])), with a the shrinkage."""

    reads = ("target_features", "target_labels")

    def value(self, inputs: Inputs) -> float:
        """From 0 to the smaller of D and C - 1."""
        from sklearn.covariance import ledoit_wolf

        indices, classes = class_indices(inputs.target_labels)
        features = centered_features(inputs.target_features)
        features = features / np.abs(features).max()  # the number does not depend on the scale
        covariance, shrinkage = ledoit_wolf(features, assume_centered=True)
        between = np.atleast_2d(np.cov(class_means(features, indices, classes)[indices], rowvar=False))
        inverse = np.linalg.pinv(covariance, hermitian=True)
        return float((1 - shrinkage) * (inverse * between).sum())
