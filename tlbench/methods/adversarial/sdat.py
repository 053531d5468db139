"""SDAT: CDAN whose gradient is taken where the source loss is worst nearby, so that its minimum is flat.

Rangwani et al., A closer look at smoothness in domain adversarial training, ICML 2022. https://arxiv.org/abs/2206.08213
Foret et al., Sharpness-aware minimization for efficiently improving generalization, ICLR 2021. https://arxiv.org/abs/2010.01412
"""

from __future__ import annotations

import torch
from pydantic import Field
from torch import Tensor
from torch.func import functional_call

from tlbench.methods.adversarial.cdan import CDAN
from tlbench.terms import Step


class SDAT(CDAN):
    """CDAN's loss at w + radius * g / |g| for the network's parameters w, with g the gradient of CE(source) at w.

    The discriminator stays where it is, so that only the task loss is smoothed. Each step makes two forward passes.
    """

    radius: float = Field(0.02, ge=0, description="length of the step uphill; 0 gives CDAN")

    def loss(self, step: Step) -> Tensor:
        """CDAN's loss with displaced parameters, a scalar; its gradient is added to the parameters where they are."""
        if not self.weight or not self.radius:
            return super().loss(step)
        learning = {name: p for name, p in self.named_parameters() if name.startswith("net.") and p.requires_grad}
        source_BD, _ = self.net.features(step.source.x, step.target)  # both domains: batch statistics are those of the loss
        gradients = torch.autograd.grad(self.criterion(self.net.head(source_BD), step.source.y), list(learning.values()))
        scale = self.radius / (torch.stack([g.norm() for g in gradients]).norm() + 1e-12)
        displaced = {name: p + scale * g for (name, p), g in zip(learning.items(), gradients, strict=True)}
        loss: Tensor = functional_call(self, displaced, (step,))
        return loss

    def forward(self, step: Step) -> Tensor:
        """CDAN's loss, a scalar."""
        return super().loss(step)
