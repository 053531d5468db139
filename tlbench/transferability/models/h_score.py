"""H-score: the variance between classes in units of the variance of the features.

Bao et al., An information-theoretic approach to transferability in task transfer learning, ICIP 2019.
https://doi.org/10.1109/ICIP.2019.8803726

With as many features as samples it says nothing: it is then near C - 1 for any labels. `h_score_shrunk` is for that case.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tlbench.transferability.base import TransferabilityScore
from tlbench.transferability.inputs import Inputs, centered_features, class_indices, class_means


@dataclass(frozen=True)
class HScore(TransferabilityScore):
    """tr(cov(F)^-1 cov(E[F | y]))."""

    reads = ("target_features", "target_labels")

    def value(self, inputs: Inputs) -> float:
        """From 0 to the smaller of D and C - 1; directions without variance are left out of the inverse."""
        indices, classes = class_indices(inputs.target_labels)
        features = centered_features(inputs.target_features)
        u, singular, _ = np.linalg.svd(features, full_matrices=False)
        u = u[:, singular > singular[0] * max(features.shape) * np.finfo(float).eps]
        # cov(F)^-1 whitens the features to their singular vectors, so that the trace is their variance between classes
        return float(np.bincount(indices) @ np.square(class_means(u, indices, classes)).sum(axis=1))
