"""ClassSS: how well separated the clusters of the target features are that start at the predicted classes.

Musgrave, Belongie and Lim, Three new validators and a large-scale benchmark ranking for unsupervised domain adaptation, 2022.
https://arxiv.org/abs/2208.07360

The predictions decide the starts of the clusters alone, so that wrong classes of well-separated features score high. The
clusters are those of `class_ami`. A single cluster has no silhouette: it scores -1, the lowest; clusters of single samples
score 0.
"""

from __future__ import annotations

from dataclasses import dataclass

from tlbench.selection.base import Rule
from tlbench.selection.clusters import class_clusters
from tlbench.selection.facts import Facts


@dataclass(frozen=True)
class ClassSS(Rule):
    """The mean silhouette of k-means clusters, by Euclidean distances."""

    reads = ("target_logits", "target_features")

    def value(self, facts: Facts) -> float:
        """mean (b - a) / max(a, b)."""
        from sklearn.metrics import silhouette_score

        _, clusters = class_clusters(facts.target_logits, facts.target_features)
        count = len(set(clusters.tolist()))
        if count == 1:
            return -1.0
        return 0.0 if count == len(clusters) else float(silhouette_score(facts.target_features, clusters))
