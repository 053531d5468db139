"""DEV with normalised weights: scaled to a largest weight of 1, or standardised, and then shifted to mean 1.

Musgrave, Belongie and Lim, Three new validators and a large-scale benchmark ranking for unsupervised domain adaptation, 2022.
https://arxiv.org/abs/2208.07360

Standardised weights can be negative. The normalisations are those of pytorch-adapt; the domain classifier is that of `dev`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from tlbench.selection.base import Rule
from tlbench.selection.density_ratio import classifier_ratio, controlled_mean
from tlbench.selection.facts import Facts
from tlbench.selection.probabilities import Loss, one_of, sample_losses


@dataclass(frozen=True)
class DEVN(Rule):
    """Minus the risk with control variate, of normalised weights."""

    reads = ("source_train_features", "source_logits", "source_labels", "source_features", "target_features")
    loss: Loss = "cross_entropy"
    regularization: float = 1.0
    """The weight of half the squared norm of the domain classifier's coefficients."""
    normalization: Literal["max", "standardize"] = "max"

    def value(self, facts: Facts) -> float:
        """As of `dev`, for weights of mean 1."""
        weights = classifier_ratio(
            facts.source_train_features, facts.source_features, facts.target_features, self.regularization
        )
        losses = sample_losses(facts.source_logits, facts.source_labels, self.loss)
        if one_of("normalization", self.normalization, ("max", "standardize")) == "max":
            weights = weights / weights.max()
        elif np.ptp(weights) > 0:
            weights = weights / weights.std()
        return -controlled_mean(weights - weights.mean() + 1, losses)
