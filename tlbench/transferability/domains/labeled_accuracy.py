"""Labelled accuracy: of a classifier of the source on labelled target samples. It reads target labels, a number of each class.

Musgrave, Belongie and Lim, Unsupervised domain adaptation: a reality check, 2021. https://arxiv.org/abs/2111.15672

The classes of both sides are the same. The labels that it takes are no longer free to be scored.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tlbench.errors import TlbenchError
from tlbench.transferability.domains._sides import DomainScore
from tlbench.transferability.inputs import Inputs


@dataclass(frozen=True)
class LabeledAccuracy(DomainScore):
    """The accuracy of a logistic regression of the source on `labels` target samples of each class."""

    reads = ("source_features", "source_labels", "target_features", "target_labels")
    labels: int = 5
    """Labelled target samples of each class, or all that it has."""

    def value(self, inputs: Inputs) -> float:
        """From 0 to 1."""
        from sklearn.linear_model import LogisticRegression
        from sklearn.pipeline import make_pipeline
        from sklearn.preprocessing import StandardScaler

        self.require(self.labels > 0, "labels", "1 or more")
        if not np.isin(inputs.target_labels, inputs.source_labels).any():
            raise TlbenchError("The source has none of the classes of the target. Pass labels of classes in common.")
        if not inputs.source_labels.std():
            raise TlbenchError("The source has one class. Pass source samples of two classes or more.")
        order = np.random.default_rng(self.random_state).permutation(len(inputs.target_labels))
        of_class = [order[inputs.target_labels[order] == name][: self.labels] for name in np.unique(inputs.target_labels)]
        drawn = np.concatenate(of_class)
        classifier = make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000))
        classifier.fit(inputs.source_features, inputs.source_labels)
        return float((classifier.predict(inputs.target_features[drawn]) == inputs.target_labels[drawn]).mean())
