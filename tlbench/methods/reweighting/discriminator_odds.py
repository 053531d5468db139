"""Discriminator odds, solved: weights from a domain classifier's odds, then a plain learner on the weighted rows.

Bickel, Brueckner and Scheffer, Discriminative learning for differing training and test distributions, ICML 2007 (the
two-step form). `discriminator_reweight` is the same in front of a network.
"""

from __future__ import annotations

import torch
from pydantic import Field
from torch import Tensor

from tlbench.methods.reweighting import ReweightingMethod
from tlbench.solvers import domain_classifier
from tlbench.terms import Labelled, Task


class DiscriminatorOdds(ReweightingMethod):
    """w(x) = (N_s / N_t) P(target | x) / P(source | x), P a logistic regression fitted out of fold."""

    penalty: float | None = Field(
        None, gt=0, description="L2 penalty of the domain classifier; by default by cross-validated likelihood"
    )
    effective: float = Field(
        0.5, ge=0, lt=1, description="least effective share of the source rows (Kish): log weights are shrunk until it is met"
    )
    folds: int = Field(3, ge=2, description="parts for the out-of-fold odds")
    iterations: int = Field(50, ge=1, description="Newton or L-BFGS steps of the domain classifier")

    def weights(self, source: Labelled, target_MD: Tensor, task: Task) -> Tensor:
        """The odds of the source rows, tempered where too few rows would hold them."""
        penalty = self.penalty or domain_classifier.best_penalty(source.x, target_MD, self.folds, self.iterations)
        logs = domain_classifier.log_odds(source.x, target_MD, penalty, self.folds, self.iterations)
        power = domain_classifier.tempering(logs, self.effective)
        if power < 1:
            self.note(f"log weights times {power:.2g}, else fewer than {self.effective:.0%} of the rows would hold the weight")
        return torch.softmax(power * logs, dim=0)
