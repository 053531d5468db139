"""Transfer Score: even class vectors, clustered features, and certain predictions of all classes.

Yang et al., Can we evaluate domain adaptation models without target-domain labels?, ICLR 2024.
https://openreview.net/forum?id=fszrlQ2DuP

The weights of the last layer must be vectors of classes, and feature dimensions of no use dominate the cluster tendency.
Deviations from the authors' code: no constant is added within logarithms, cosines are clipped to [-1, 1] (theirs are NaN for
parallel vectors), and the samples of the Hopkins statistic depend on `seed` and not on the order of the samples.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from tlbench.errors import TlbenchError
from tlbench.selection.base import Rule
from tlbench.selection.facts import Array, Facts
from tlbench.selection.probabilities import mutual_information


@dataclass(frozen=True)
class TransferScore(Rule):
    """Hopkins statistic, plus normalised mutual information, minus the deviation from even class vectors."""

    reads = ("classifier_weights", "target_logits", "target_features")
    seed: int = 0
    """The seed of the samples of the Hopkins statistic."""

    def value(self, facts: Facts) -> float:
        """H + I / log C - mean (angle - arccos(-1 / (C - 1)))^2."""
        if self.seed < 0:
            raise TlbenchError(f"Option seed is {self.seed}. It is 0 or more.")
        information = mutual_information(facts.target_logits) / math.log(facts.target_logits.shape[1])
        return hopkins(facts.target_features, self.seed) + information - unevenness(facts.classifier_weights)


def unevenness(weights: Array) -> float:
    """The mean squared difference, in rad^2, of the angles between class vectors (C, D) to those of a regular simplex."""
    classes = len(weights)
    directions = weights / np.maximum(np.linalg.norm(weights, axis=1, keepdims=True), 1e-12)
    cosines = np.clip(directions @ directions.T, -1, 1)[~np.eye(classes, dtype=bool)]
    return float(np.square(np.arccos(cosines) - np.arccos(-1 / (classes - 1))).mean())


def hopkins(features: Array, seed: int) -> float:
    """The Hopkins statistic of features (m, D): about 1/2 where they are spread evenly, towards 1 where they are clustered.

    A twentieth of the samples, one at least, and as many uniform points of their bounding box: the share of the points'
    distances to the nearest sample in the sum of these and of the samples' distances to the nearest other sample; 0 where all
    are equal.

    Raises:
        TlbenchError: there is one sample.
    """
    from sklearn.neighbors import NearestNeighbors

    if len(features) < 2:
        raise TlbenchError("The Hopkins statistic compares target samples, and there is one. Pass two or more.")
    generator = np.random.default_rng(seed)
    features = features[np.lexsort(features.T)]  # whatever the order in which they come
    count = max(1, len(features) // 20)
    points = generator.uniform(features.min(0), features.max(0), (count, features.shape[1]))
    drawn = features[generator.choice(len(features), count, replace=False)]
    neighbors = NearestNeighbors(n_neighbors=2).fit(features)
    point_sum = neighbors.kneighbors(points)[0][:, 0].sum()
    sample_sum = neighbors.kneighbors(drawn)[0][:, 1].sum()
    return float(point_sum / (point_sum + sample_sum)) if point_sum + sample_sum > 0 else 0.0
