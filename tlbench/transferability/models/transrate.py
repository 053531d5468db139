"""TransRate: the coding rate of the features minus the mean coding rate of the classes.

Huang et al., Frustratingly easy transferability estimation, ICML 2022. https://arxiv.org/abs/2106.09362

It depends on the scale of the features: compare models after features of one scale. As in the paper all classes weigh the same.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tlbench.transferability.base import TransferabilityScore
from tlbench.transferability.inputs import Floats, Inputs, class_indices


@dataclass(frozen=True)
class TransRate(TransferabilityScore):
    """R(F) - mean over classes R(F_c), with R(F) = log det(I + F'F / (n distortion)) / 2 of centered features."""

    reads = ("target_features", "target_labels")
    distortion: float = 1e-4
    """The squared distortion of the code."""

    def value(self, inputs: Inputs) -> float:
        """Nats."""
        self.require(self.distortion > 0, "distortion", "above 0")
        indices, classes = class_indices(inputs.target_labels)
        features = inputs.target_features - inputs.target_features.mean(axis=0)
        return self._rate(features) - float(np.mean([self._rate(features[indices == c]) for c in range(classes)]))

    def _rate(self, features: Floats) -> float:
        """The coding rate of features (n, D), from the smaller of the two Gram matrices."""
        gram = features.T @ features if len(features) > features.shape[1] else features @ features.T
        _, log_determinant = np.linalg.slogdet(np.eye(len(gram)) + gram / (len(features) * self.distortion))
        return 0.5 * float(log_determinant)
