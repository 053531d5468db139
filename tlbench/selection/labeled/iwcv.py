"""Importance-weighted cross-validation: the source risk, weighted by the density ratio of target to source.

Sugiyama, Krauledat and Müller, Covariate shift adaptation by importance weighted cross validation, JMLR 2007.
https://jmlr.org/papers/v8/sugiyama07a.html

It holds under covariate shift with overlapping domains only; in high dimension few samples have all the weight. `density =
"kernel"` is skada's estimate with weights of sum 1: kernel densities of one bandwidth, the source's at its own samples. Codes
differ in what they normalise: UDA-4-TSC leaves the weights as they are (`normalized = False`). Both densities here are
learned from the samples given.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from tlbench.selection.base import Rule
from tlbench.selection.density_ratio import classifier_ratio, kernel_log_ratio
from tlbench.selection.facts import Facts
from tlbench.selection.probabilities import Loss, one_of, sample_losses, softmax


@dataclass(frozen=True)
class IWCV(Rule):
    """Minus the weighted mean loss on held-out source samples."""

    reads = ("source_logits", "source_labels", "source_features", "target_features")
    loss: Loss = "cross_entropy"
    density: Literal["classifier", "kernel"] = "classifier"
    """A logistic regression that tells the domains, or Gaussian kernel densities."""
    bandwidth: float = 1.0
    """The bandwidth of the kernels."""
    regularization: float = 1.0
    """The weight of half the squared norm of the classifier's coefficients."""
    normalized: bool = True
    """Whether the weights are divided by their sum."""

    def value(self, facts: Facts) -> float:
        """-sum(w l) / sum(w), or -mean(w l) where weights are not normalised."""
        losses = sample_losses(facts.source_logits, facts.source_labels, self.loss)
        source, target = facts.source_features, facts.target_features
        if one_of("density", self.density, ("classifier", "kernel")) == "kernel":
            log_weights = kernel_log_ratio(source, target, self.bandwidth)
        else:
            log_weights = np.log(classifier_ratio(source, source, target, self.regularization))
        if self.normalized:
            return -float(softmax(log_weights) @ losses)  # no common factor underflows
        with np.errstate(over="ignore"):
            return -float((np.exp(log_weights) * losses).mean())
