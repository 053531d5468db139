"""SFDA: the probability of the labels under a regularised Fisher discriminant, after confident samples are made harder.

Shao, Zhao, Zhang, Ge, Yang, Wang, Shan and Luo, Not all models are equal: predicting model transferability in a
self-challenging Fisher space, ECCV 2022. https://arxiv.org/abs/2207.03036

A first discriminant gives each sample a probability of its class, and the sample is mixed with the mean of the other classes by
what is missing to 1; the second discriminant is fitted to these samples and scored on them. The authors estimate the largest
variance within classes by three rounds of a power iteration; here it is exact.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tlbench.errors import TlbenchError
from tlbench.transferability.base import TransferabilityScore
from tlbench.transferability.inputs import Array, Floats, Inputs, class_indices, class_means

LEAST_SHRINKAGE = 1e-10


@dataclass(frozen=True)
class SFDA(TransferabilityScore):
    """The mean probability of the true class under the second discriminant."""

    reads = ("target_features", "target_labels")
    shrinkage: float = 0.0
    """Of the covariance within classes, up to 1; 0 takes exp(-5 times its largest eigenvalue)."""

    def value(self, inputs: Inputs) -> float:
        """From 0 to 1."""
        from scipy.special import softmax

        self.require(0 <= self.shrinkage <= 1, "shrinkage", "from 0 to 1")
        indices, classes = class_indices(inputs.target_labels)
        features = inputs.target_features
        means = class_means(features, indices, classes)
        within = _within(features, indices, means)
        shrinkage = self.shrinkage or max(float(np.exp(-5 * np.linalg.eigvalsh(within)[-1])), LEAST_SHRINKAGE)
        order = np.arange(len(indices))
        confidence = softmax(_posteriors(features, indices, means, shrinkage), axis=1)[order, indices, None]
        other_means = (means.sum(axis=0) - means) / (classes - 1)
        mixed = confidence * features + (1 - confidence) * other_means[indices]
        return float(_posteriors(mixed, indices, class_means(mixed, indices, classes), shrinkage)[order, indices].mean())


def _within(features: Floats, indices: Array, means: Floats) -> Floats:
    """The covariance (D, D) within classes, each weighted by its share."""
    centered = features - means[indices]
    within: Floats = centered.T @ centered / len(features)
    return within


def _posteriors(features: Floats, indices: Array, means: Floats, shrinkage: float) -> Floats:
    """The posteriors (m, C) of a linear discriminant with its covariance shrunk towards a multiple of the identity."""
    from scipy.special import softmax

    within = _within(features, indices, means)
    scale = np.trace(within) / len(within)
    if not scale > 0:
        raise TlbenchError("No class has two samples that differ, so there is no variance within classes. Pass more samples.")
    within = (1 - shrinkage) * within + shrinkage * scale * np.eye(len(within))
    weights = np.linalg.solve(within, means.T)
    bias = np.log(np.bincount(indices) / len(indices)) - 0.5 * (means * weights.T).sum(axis=1)
    posteriors: Floats = softmax(features @ weights + bias, axis=1)
    return posteriors
