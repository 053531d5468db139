"""TENT: on the stream of test rows, batch normalisation uses the batch, and its scale and shift lower the entropy.

Wang, Shelhamer, Liu, Olshausen and Darrell, Tent: fully test-time adaptation by entropy minimization, ICLR 2021.
https://arxiv.org/abs/2006.10726
"""

from __future__ import annotations

from pydantic import Field
from torch import Tensor
from torch.nn.modules.batchnorm import _BatchNorm

from tlbench.errors import NotApplicableError
from tlbench.methods.base import DeepMethod, Group, OnlineAdaptation
from tlbench.terms import Step


class Tent(DeepMethod):
    """Source training; then each batch of the stream is predicted, and its mean entropy makes one step of Adam."""

    version = 2
    reads = frozenset({"source", "stream"})
    lr: float = Field(1e-3, ge=0, description="of scale and shift on the stream; 0 adapts the statistics alone")

    def build(self) -> None:
        """Needs a backbone with batch normalisation."""
        self.norms = [module for module in self.net.modules() if isinstance(module, _BatchNorm)]

    def loss(self, step: Step) -> Tensor:
        """CE(source)."""
        if not self.norms:
            raise NotApplicableError("tent learns scale and shift of batch normalisation, and the backbone has none")
        return self.supervised(step)

    def online(self) -> OnlineAdaptation:
        """Only the normalisation layers are in training mode and learn; dropout is off."""
        return OnlineAdaptation(self.entropy, tuple(Group((norm,)) for norm in self.norms), self.lr)

    def entropy(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Logits of the batch, and their mean entropy in nats."""
        logits = self.net(x)
        logs = logits.float().log_softmax(dim=1)
        return logits, -(logs.exp() * logs).sum(dim=1).mean()
