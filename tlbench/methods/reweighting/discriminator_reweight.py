"""Instance reweighting by the odds of a domain classifier: source samples that resemble target samples are weighted more.

Bickel, Brückner and Scheffer, Discriminative learning for differing training and test distributions, ICML 2007 (the two-step
form). https://doi.org/10.1145/1273496.1273507
"""

from __future__ import annotations

import torch
from pydantic import Field
from torch import Tensor

from tlbench.methods.base import DeepMethod, Passes, Phase
from tlbench.solvers.reweighting import domain_classifier
from tlbench.terms import Step


class DiscriminatorReweight(DeepMethod):
    """w(x) = (N_s / N_t) P(target | x) / P(source | x), capped, then of mean 1; the loss is the weighted cross-entropy.

    P is a logistic regression on the raw inputs, fitted out of fold: a flexible one would overfit the domain of its own
    samples. Where the domains are separable (raw pixels) few samples would have all the weight: log weights are shrunk.
    """

    reads = frozenset({"source", "target"})
    positions = False
    tasks = frozenset({"classification", "regression"})
    version = 3
    cap: float = Field(10.0, gt=0, description="largest weight, in multiples of the mean before the cap")
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

    def phases(self) -> tuple[Phase, ...]:
        """One phase, which computes the weights before its first step."""
        return (Phase(self.loss, frozenset({"source"}), begin=self.compute_weights, passes=frozenset({"target"})),)

    def compute_weights(self, passes: Passes) -> None:
        """Fit the domain classifier on all granted samples, out of fold."""
        source, target = (passes.map(split, lambda x: x.flatten(1)) for split in ("source", "target"))
        source, target = source.double(), target.double()
        penalty = self.penalty or domain_classifier.choose_penalty(source, target, self.folds, self.iterations)
        logs = domain_classifier.log_odds(source, target, penalty, self.folds, self.iterations, self.note)
        power = domain_classifier.tempering_power(logs, self.effective)
        if power < 1:
            self.note(domain_classifier.tempering_note(power, self.effective))
        weights = torch.softmax(power * logs, dim=0) * len(logs)
        capped = weights.clamp_max(self.cap)
        self.weight_N = (capped / capped.mean()).float()

    def loss(self, step: Step) -> Tensor:
        """The mean of w times the loss of the sample over the batch."""
        losses = self.criterion(self.net(step.source.x), step.source.y, reduction="none")
        return (self.weight_N[step.indices["source"]] * losses).mean()
