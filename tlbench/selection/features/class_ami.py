"""ClassAMI: whether the predicted classes are the clusters of the target features.

Musgrave, Belongie and Lim, Three new validators and a large-scale benchmark ranking for unsupervised domain adaptation, 2022.
https://arxiv.org/abs/2208.07360

The clusters may be those of something else than the classes. Where features outnumber the samples of a class, clusters stay
where the predictions let them start, and any predictions score near 1. As in pytorch-adapt with `centroid_init =
"label_centers"`, the cluster of a class that is not predicted starts at zero; pytorch-adapt's default starts at random
centers, and may add source samples.
"""

from __future__ import annotations

from dataclasses import dataclass

from tlbench.selection.base import Rule
from tlbench.selection.clusters import class_clusters
from tlbench.selection.facts import Facts


@dataclass(frozen=True)
class ClassAMI(Rule):
    """The adjusted mutual information of predicted classes and k-means clusters."""

    reads = ("target_logits", "target_features")

    def value(self, facts: Facts) -> float:
        """AMI(predicted class, cluster)."""
        from sklearn.metrics import adjusted_mutual_info_score

        predicted, clusters = class_clusters(facts.target_logits, facts.target_features)
        if len(set(predicted.tolist())) == 1:
            return 0.0  # nothing is known of the clusters, where scikit-learn says 1 for one cluster
        return float(adjusted_mutual_info_score(predicted, clusters))
