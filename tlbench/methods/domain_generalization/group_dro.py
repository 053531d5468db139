"""GroupDRO: weights of the sources that grow exponentially with their risks, so that the worst one decides.

Sagawa, Koh, Hashimoto and Liang, Distributionally robust neural networks for group shifts, ICLR 2020.
https://arxiv.org/abs/1911.08731
"""

from __future__ import annotations

import torch
from pydantic import Field
from torch import Tensor

from tlbench.methods.base import DeepMethod, Phase
from tlbench.methods.domain_generalization._risks import is_present
from tlbench.methods.multi_source._sources import source_shares
from tlbench.terms import Step


class GroupDRO(DeepMethod):
    """Sum over sources of q_s risk_s, with q_s multiplied by exp(rate * risk_s) and normalised before each step uses it.

    Sources without a sample in the batch keep their weight and count nowhere. With one source it is `source_only`.
    """

    reads = frozenset({"source"})
    soft_labels = True
    rate: float = Field(0.01, ge=0, description="of the exponential update of the sources' weights; 0: the mean of their risks")

    def build(self) -> None:
        """Create the logarithms of the weights, and those of the step, which `publish` makes the next step's."""
        self.register_buffer("logs_S", torch.zeros(self.source_count))
        self.register_buffer("next_logs_S", torch.zeros(self.source_count))

    logs_S: Tensor
    next_logs_S: Tensor

    def phases(self) -> tuple[Phase, ...]:
        """One phase, in which the weights follow each step."""
        return (Phase(self.loss, self.reads, after=self.publish),)

    def loss(self, step: Step) -> Tensor:
        """The weighted risk, a scalar; the weights are those after their update."""
        shares_SB = source_shares(step.source, self.source_count)
        risk_S = shares_SB @ self.criterion(self.net(step.source.x), step.source.y, "none")
        with torch.no_grad():
            logs_S = (self.logs_S + self.rate * risk_S).log_softmax(dim=0)
            self.next_logs_S.copy_(logs_S)
            weights_S = logs_S.masked_fill(is_present(shares_SB) == 0, -torch.inf).softmax(dim=0)
        return weights_S @ risk_S

    def publish(self, progress: float) -> None:
        """Make the weights of the step those that the next one begins with."""
        self.logs_S.copy_(self.next_logs_S)
