"""TENT: on the stream of test samples, batch normalisation uses the batch, and its scale and shift minimise the entropy.

Wang, Shelhamer, Liu, Olshausen and Darrell, Tent: fully test-time adaptation by entropy minimization, ICLR 2021.
https://arxiv.org/abs/2006.10726
"""

from __future__ import annotations

from pydantic import Field
from torch import Tensor

from tlbench.methods.norm_adaptation import NormAdaptation
from tlbench.methods.online import OnlineAdaptation
from tlbench.nn.entropy import entropy


class TENT(NormAdaptation):
    """CE on the source; then each batch of the stream is predicted, and one step of Adam lowers its mean entropy."""

    version = 2
    lr: float = Field(
        1e-3, ge=0, description="learning rate of scale and shift on the stream; 0 adapts the batch statistics only"
    )

    def online(self) -> OnlineAdaptation:
        """Only the normalisation layers learn; dropout is off."""
        return OnlineAdaptation(self.entropy, self.groups(), self.lr, begin=self.begin)

    def entropy(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Network inputs (B, ...) -> logits (B, C) and their mean entropy in nats, a scalar."""
        logits_BC = self.net(x)
        return logits_BC, entropy(logits_BC).mean()
