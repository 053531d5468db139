"""TENT: on the stream of test samples, batch normalisation uses the batch, and its scale and shift minimise the entropy.

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


class TENT(DeepMethod):
    """CE on the source; then each batch of the stream is predicted, and one step of Adam lowers its mean entropy."""

    version = 2
    reads = frozenset({"source", "stream"})
    lr: float = Field(
        1e-3, ge=0, description="learning rate of scale and shift on the stream; 0 adapts the batch statistics only"
    )

    def build(self) -> None:
        """Collect the batch normalisation layers of the network."""
        self.norms = [module for module in self.net.modules() if isinstance(module, _BatchNorm)]

    def loss(self, step: Step) -> Tensor:
        """CE(source), a scalar.

        Raises:
            NotApplicableError: the network has no batch normalisation.
        """
        if not self.norms:
            raise NotApplicableError("tent learns scale and shift of batch normalisation, and the backbone has none.")
        return self.supervised(step)

    def online(self) -> OnlineAdaptation:
        """Only the normalisation layers learn and are in training mode; dropout is off."""
        return OnlineAdaptation(self.entropy, tuple(Group((norm,)) for norm in self.norms), self.lr)

    def entropy(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Network inputs (B, ...) -> logits (B, C) and their mean entropy in nats, a scalar.

        Raises:
            NotApplicableError: the stream has one sample, which has no batch statistics.
        """
        try:
            logits_BC = self.net(x)
        except ValueError as error:
            if len(x) > 1:
                raise
            raise NotApplicableError("The stream has one sample, and tent takes batch statistics of two at least.") from error
        logs_BC = logits_BC.float().log_softmax(dim=1)
        return logits_BC, -(logs_BC.exp() * logs_BC).sum(dim=1).mean()
