"""L2-SP: in fine-tuning, the backbone is pulled towards its starting point instead of towards 0.

Li, Grandvalet and Davoine, Explicit inductive bias for transfer learning with convolutional networks, ICML 2018.
https://arxiv.org/abs/1802.01483
"""

from __future__ import annotations

import torch
from pydantic import Field
from torch import Tensor

from tlbench.methods.base import Passes, Phase
from tlbench.methods.source_then_target import SourceThenTarget
from tlbench.terms import Step


class L2SP(SourceThenTarget):
    """CE + alpha / 2 |w - w0|^2 over the backbone's parameters + beta / 2 |v|^2 over those of the head.

    w0 are the weights after the source. A weight decay of the suite (train.weight_decay) would act beside both terms.
    """

    alpha: float = Field(0.01, ge=0, description="of the pull of the backbone towards its starting point")
    beta: float = Field(0.01, ge=0, description="of the decay of the head towards 0")

    def phases(self) -> tuple[Phase, ...]:
        """The source; then the labelled target samples, from a starting point that is stored."""
        return self.source_phase(), self.target_phase(begin=self.store_start if self.alpha else None)

    def store_start(self, passes: Passes) -> None:
        """Store the backbone's parameters as the starting point."""
        self.start = [parameter.detach().clone() for parameter in self.net.backbone.parameters()]

    def loss(self, step: Step) -> Tensor:
        """The sum of the three terms, a scalar."""
        total = super().loss(step)
        if self.alpha:
            pairs = zip(self.net.backbone.parameters(), self.start, strict=True)
            total = total + self.alpha / 2 * squared_norm([parameter - start for parameter, start in pairs])
        if self.beta:
            total = total + self.beta / 2 * squared_norm([*self.net.head.parameters()])
        return total


def squared_norm(tensors: list[Tensor]) -> Tensor | float:
    """The sum of the squares of all elements, a scalar."""
    return torch.stack([tensor.square().sum() for tensor in tensors]).sum() if tensors else 0.0
