"""Linear probe: the cross-validated accuracy of a logistic regression on target features.

Alain and Bengio, Understanding intermediate layers using linear classifier probes, 2016. https://arxiv.org/abs/1610.01644
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tlbench.errors import TlbenchError
from tlbench.transferability.base import TransferabilityScore
from tlbench.transferability.inputs import Inputs, class_indices


@dataclass(frozen=True)
class LinearProbe(TransferabilityScore):
    """Stratified folds, features standardised by those of the other folds, and an L2 penalty of 1 / C."""

    reads = ("target_features", "target_labels")
    folds: int = 5
    """As many as the smallest class has samples, if that is fewer."""
    C: float = 1.0
    """The inverse of the penalty."""

    def value(self, inputs: Inputs) -> float:
        """From 0 to 1."""
        from sklearn.linear_model import LogisticRegression
        from sklearn.model_selection import StratifiedKFold, cross_val_predict
        from sklearn.pipeline import make_pipeline
        from sklearn.preprocessing import StandardScaler

        self.require(self.folds > 1, "folds", "2 or more")
        self.require(self.C > 0, "C", "above 0")
        indices, _ = class_indices(inputs.target_labels)
        folds = min(self.folds, int(np.bincount(indices).min()))
        if folds < 2:
            raise TlbenchError("A class has one sample, which cannot be in two folds. Pass two samples or more of each class.")
        probe = make_pipeline(StandardScaler(), LogisticRegression(C=self.C, max_iter=1000))
        splits = StratifiedKFold(folds, shuffle=True, random_state=0)
        return float((cross_val_predict(probe, inputs.target_features, indices, cv=splits) == indices).mean())
