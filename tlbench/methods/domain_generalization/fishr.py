"""Fishr: the variances of the samples' gradients are made equal in all sources.

Rame, Dancette and Cord, Fishr: invariant gradient variances for out-of-distribution generalization, ICML 2022.
https://arxiv.org/abs/2109.02934
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from pydantic import Field
from torch import Tensor

from tlbench.methods.domain_generalization._losses import WarmUpMethod
from tlbench.methods.domain_generalization._risks import class_probabilities, is_present, mean_over_sources
from tlbench.methods.multi_source._sources import source_shares
from tlbench.terms import Step


class Fishr(WarmUpMethod):
    """CE(source) + weight * mean over sources and parameters of (variance of the source - mean variance)^2.

    The variances are those of the gradients of the head's parameters over the samples of a source, in closed form. They are
    moving averages divided by 1 - decay, as in the authors' code, so that the gradient through the present batch does not
    depend on the decay. With one source the penalty is 0.
    """

    weight: float = Field(1000.0, ge=0, description="of the penalty after the warm-up, before which it is 0")
    decay: float = Field(0.95, ge=0, lt=1, description="of the moving averages of the variances, per step")
    warm_up: float = Field(0.3, ge=0, lt=1, description="share of the steps without the penalty; DomainBed: 1,500 of 5,000")

    def build(self) -> None:
        """Create the moving averages (S, P) over the P parameters of the head, and those after the step."""
        zeros_SP = torch.zeros(self.source_count, self.net.head.weight.numel() + self.net.head.bias.numel())
        self.register_buffer("average_SP", zeros_SP)
        self.register_buffer("next_average_SP", zeros_SP.clone())

    average_SP: Tensor
    next_average_SP: Tensor

    def after_step(self) -> Callable[[float], None]:
        """The averages follow each step."""
        return self.publish

    def publish(self, progress: float) -> None:
        """Make the averages of the step those that the next one begins with."""
        self.average_SP.copy_(self.next_average_SP)

    def warm_up_loss(self, step: Step) -> Tensor:
        """The loss without the penalty, a scalar; the averages follow all the same."""
        return self.penalized(step, 0.0)

    def loss(self, step: Step) -> Tensor:
        """The loss with the penalty, a scalar."""
        return self.penalized(step, self.weight)

    def penalized(self, step: Step, weight: float) -> Tensor:
        """Cross-entropy plus weight times the penalty, a scalar."""
        features_BD = self.net.backbone(step.source.x)
        logits_BC = self.net.head(features_BD)
        penalty = self.penalty(features_BD, logits_BC, step)
        return self.criterion(logits_BC, step.source.y) + weight * penalty

    def penalty(self, features_BD: Tensor, logits_BC: Tensor, step: Step) -> Tensor:
        """The penalty, a scalar, of features (B, D) and logits (B, C); the averages after it are those that `publish` takes."""
        shares_SB = source_shares(step.source, self.source_count)
        errors_BC = logits_BC.softmax(dim=1) - class_probabilities(step.source.y, logits_BC.shape[1])
        inputs_BD = torch.cat([features_BD, torch.ones_like(features_BD[:, :1])], dim=1)  # the last is that of the bias
        weighted_SBC = shares_SB[:, :, None] * errors_BC
        mean_SCD = weighted_SBC.mT @ inputs_BD
        variance_SCD = (weighted_SBC * errors_BC).mT @ inputs_BD.square() - mean_SCD.square()
        variance_SP, present_S = variance_SCD.flatten(1), is_present(shares_SB)
        average_SP = self.decay * self.average_SP + (1 - self.decay) * variance_SP
        with torch.no_grad():
            self.next_average_SP.copy_(torch.where(present_S[:, None] > 0, average_SP, self.average_SP))
        scaled_SP = average_SP / (1 - self.decay)
        mean_P = (present_S @ scaled_SP) / present_S.sum()
        return mean_over_sources((scaled_SP - mean_P).square().mean(dim=1), shares_SB)
