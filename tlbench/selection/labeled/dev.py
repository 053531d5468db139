"""Deep embedded validation: importance-weighted source risk with a control variate.

You et al., Towards accurate model selection in deep unsupervised domain adaptation, ICML 2019.
https://proceedings.mlr.press/v97/you19a.html

The number has no bounds, since the control variate may exceed the risk, and depends on the scale of the features by the
classifier's regularisation. The domain classifier is a logistic regression on features of source training samples and target
samples, as in skada; the authors' code and pytorch-adapt train a network with nine weight decays. skada splits the source
samples that it is given; here what is held out is what the caller says.
"""

from __future__ import annotations

from dataclasses import dataclass

from tlbench.selection.base import Rule
from tlbench.selection.density_ratio import classifier_ratio, controlled_mean
from tlbench.selection.facts import Facts
from tlbench.selection.probabilities import Loss, sample_losses


@dataclass(frozen=True)
class DEV(Rule):
    """Minus the risk with control variate."""

    reads = ("source_train_features", "source_logits", "source_labels", "source_features", "target_features")
    loss: Loss = "cross_entropy"
    regularization: float = 1.0
    """The weight of half the squared norm of the domain classifier's coefficients."""

    def value(self, facts: Facts) -> float:
        """-(mean(w l) + eta (mean(w) - 1)), eta = -cov(w l, w) / var(w)."""
        weights = classifier_ratio(
            facts.source_train_features, facts.source_features, facts.target_features, self.regularization
        )
        losses = sample_losses(facts.source_logits, facts.source_labels, self.loss)
        return -controlled_mean(weights, losses)
