"""IRM: representations on which the same classifier is optimal for every source.

Arjovsky, Bottou, Gulrajani and Lopez-Paz, Invariant risk minimization, 2019. https://arxiv.org/abs/1907.02893
"""

from __future__ import annotations

from pydantic import Field
from torch import Tensor

from tlbench.methods.domain_generalization._losses import WeightedWarmUp
from tlbench.methods.domain_generalization._risks import class_probabilities, mean_over_sources
from tlbench.methods.multi_source._sources import source_shares
from tlbench.terms import Step


class IRM(WeightedWarmUp):
    """Mean risk of the sources + weight * mean over sources of (d risk / d scale of the logits, at 1)^2 (IRMv1).

    The square is estimated without bias by the mean of the products of two samples' derivatives, over all pairs of a source:
    the mean of the authors' product of two halves of a batch over all its halves. It may be negative. During the warm-up the
    weight is at most 1. With one source the penalty is that of the source.
    """

    weight: float = Field(100.0, ge=0, description="of the penalty after the warm-up")

    def penalized(self, step: Step, weight: float) -> Tensor:
        """The mean risk plus weight times the mean penalty, a scalar."""
        shares_SB = source_shares(step.source, self.source_count)
        logits_BC = self.net(step.source.x)
        risk_S = shares_SB @ self.criterion(logits_BC, step.source.y, "none")
        return mean_over_sources(risk_S + weight * self.penalty(logits_BC, step.source.y, shares_SB), shares_SB)

    def penalty(self, logits_BC: Tensor, y: Tensor, shares_SB: Tensor) -> Tensor:
        """The penalty (S,) of logits (B, C) and labels; 0 for a source with fewer than two samples in the batch."""
        errors_BC = logits_BC.softmax(dim=1) - class_probabilities(y, logits_BC.shape[1])
        derivative_B = (errors_BC * logits_BC).sum(dim=1)
        count_S = (shares_SB > 0).sum(dim=1)
        pairs_S: Tensor = count_S * (shares_SB @ derivative_B).square() - shares_SB @ derivative_B.square()
        return (count_S > 1) * pairs_S / (count_S - 1).clamp_min(1)
