"""GBC: how much Gaussians of the classes overlap, by the Bhattacharyya coefficient, negated.

Pandy, Agostinelli, Uijlings, Ferrari and Mensink, Transferability estimation using Bhattacharyya class separability, CVPR 2022.
https://arxiv.org/abs/2111.12780

As in the paper, the features are projected on 64 principal components, and the Gaussians are spherical by default.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tlbench.transferability.base import TransferabilityScore
from tlbench.transferability.inputs import Inputs, class_indices, class_means

LEAST_VARIANCE = 1e-4
"""A smaller variance of a class counts as this."""


@dataclass(frozen=True)
class GBC(TransferabilityScore):
    """-sum over ordered pairs of classes exp(-Bhattacharyya distance)."""

    reads = ("target_features", "target_labels")
    covariance: str = "spherical"
    """`spherical` or `diagonal`."""
    components: int = 64
    """Principal components that features are projected on; 0 leaves features as they are."""

    def value(self, inputs: Inputs) -> float:
        """From -C (C - 1), where all classes are the same, to 0."""
        self.require(self.covariance in ("spherical", "diagonal"), "covariance", "spherical or diagonal")
        self.require(self.components >= 0, "components", "0 or more")
        indices, classes = class_indices(inputs.target_labels)
        features = inputs.target_features
        if self.components and self.components < min(features.shape):
            centered = features - features.mean(axis=0)
            features = centered @ np.linalg.svd(centered, full_matrices=False)[2][: self.components].T
        means = class_means(features, indices, classes)
        variances = np.maximum(class_means(np.square(features - means[indices]), indices, classes), LEAST_VARIANCE)
        if self.covariance == "spherical":
            variances = np.broadcast_to(variances.mean(axis=1, keepdims=True), variances.shape)
        mixed = (variances[:, None] + variances[None]) / 2
        logs = np.log(variances)
        distances = (np.square(means[:, None] - means[None]) / mixed).sum(axis=-1) / 8
        distances += (np.log(mixed) - (logs[:, None] + logs[None]) / 2).sum(axis=-1) / 2
        return float(classes - np.exp(-distances).sum())
