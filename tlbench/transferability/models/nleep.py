"""NLEEP: LEEP with the components of a Gaussian mixture of the target features in the place of the source's classes.

Li et al., Ranking neural checkpoints, CVPR 2021. https://arxiv.org/abs/2011.11200

As in the paper, the features are projected on the principal components of 80 % of the variance, and there are five components a
class. The mixture starts at random, so numbers of different seeds differ.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tlbench.errors import TlbenchError
from tlbench.transferability.base import TransferabilityScore
from tlbench.transferability.inputs import Inputs, class_indices
from tlbench.transferability.models._empirical import log_expected_prediction


@dataclass(frozen=True)
class NLEEP(TransferabilityScore):
    """mean log sum_v p(v | x) p(y | v) over the components v of a mixture."""

    reads = ("target_features", "target_labels")
    components: int = 5
    """Components for each class."""
    variance: float = 0.8
    """The share of variance of the principal components that features are projected on; 1 leaves features as they are."""
    random_state: int = 0
    """The seed of the mixture."""

    def value(self, inputs: Inputs) -> float:
        """At most 0."""
        from sklearn.decomposition import PCA
        from sklearn.mixture import GaussianMixture

        self.require(self.components > 0, "components", "1 or more")
        self.require(0 < self.variance <= 1, "variance", "above 0, and 1 at most")
        self.require(self.random_state >= 0, "random_state", "0 or more")
        indices, classes = class_indices(inputs.target_labels)
        features = inputs.target_features
        distinct = len(np.unique(features, axis=0))
        if distinct < self.components * classes:
            raise TlbenchError(
                f"NLEEP fits {self.components * classes} components to {distinct} samples that differ. "
                f"Lower its option components, or leave this candidate out."
            )
        if self.variance < 1:
            features = PCA(self.variance, svd_solver="full").fit_transform(features)
        mixture = GaussianMixture(self.components * classes, random_state=self.random_state)
        try:
            posteriors = mixture.fit(features).predict_proba(features)
        except ValueError as error:
            raise TlbenchError(
                "A component of NLEEP's mixture has no covariance. Scale the features, or lower components."
            ) from error
        return log_expected_prediction(posteriors, indices, classes)
