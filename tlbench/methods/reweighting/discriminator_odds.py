"""Discriminator odds, shallow: a domain classifier's odds weight the source samples, then a learner is fitted.

Bickel, Brückner and Scheffer, Discriminative learning for differing training and test distributions, ICML 2007 (the two-step
form). https://doi.org/10.1145/1273496.1273507
`discriminator_reweight` has the same weights for a network.
"""

from __future__ import annotations

import torch
from pydantic import Field
from torch import Tensor

from tlbench.methods.reweighting import ReweightingMethod
from tlbench.solvers.reweighting import domain_classifier
from tlbench.terms import Labelled, Task


class DiscriminatorOdds(ReweightingMethod):
    """w(x) = (N_s / N_t) P(target | x) / P(source | x), P a logistic regression fitted out of fold."""

    version = 2
    penalty: float | None = Field(
        None, gt=0, description="L2 penalty of the domain classifier; by default by cross-validated likelihood"
    )
    effective: float = Field(
        0.5,
        ge=0,
        lt=1,
        description="least effective share of the source samples (Kish): log weights are shrunk until it is met",
    )
    folds: int = Field(3, ge=2, description="folds of the out-of-fold odds")
    iterations: int = Field(50, ge=1, description="Newton steps of the domain classifier, at most")

    def weights(self, source: Labelled, target_MD: Tensor, task: Task) -> Tensor:
        """The odds of the source samples, tempered where too few samples would have all the weight."""
        penalty = self.penalty or domain_classifier.choose_penalty(source.x, target_MD, self.folds, self.iterations)
        logs = domain_classifier.log_odds(source.x, target_MD, penalty, self.folds, self.iterations, self.note)
        power = domain_classifier.tempering_power(logs, self.effective)
        if power < 1:
            self.note(domain_classifier.tempering_note(power, self.effective))
        return torch.softmax(power * logs, dim=0)
