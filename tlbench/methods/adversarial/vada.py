"""VADA: domain-adversarial training, with confident predictions that small perturbations of the inputs do not change.

Shu, Bui, Narui and Ermon, A DIRT-T approach to unsupervised domain adaptation, ICLR 2018. https://arxiv.org/abs/1802.08735
Miyato, Maeda, Koyama and Ishii, Virtual adversarial training, 2017. https://arxiv.org/abs/1704.03976
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor

from tlbench.methods.base import DeepMethod
from tlbench.nn.entropy import entropy
from tlbench.nn.gradient_reversal import reverse_gradient
from tlbench.nn.heads import Discriminator, domain_loss
from tlbench.nn.net import concatenated
from tlbench.terms import Step

PROBE = 1e-2
"""Length of the noise that finds the direction; 1e-6, as in the authors' code, is lost in the rounding of float32."""


class VADA(DeepMethod):
    """CE(source) + BCE(d(R_k(features)), domain) + source_weight * V(source) + target_weight * (V(target) + mean H(target)).

    V is the mean of CE(p(x), p(x + r)) with p(x) fixed, and r the perturbation of the radius that changes the prediction most,
    by one power iteration. k, the factor of the gradient reversal, is `domain_weight` throughout.
    """

    reads = frozenset({"source", "target"})
    positions = False
    soft_labels = True
    draws_per_sample = True
    domain_weight: float = Field(0.01, ge=0, description="of the domain loss, for the features")
    source_weight: float = Field(1.0, ge=0, description="of the smoothness on the source")
    target_weight: float = Field(0.01, ge=0, description="of the smoothness and the entropy on the target")
    radius: float = Field(
        0.063, ge=0, description="perturbation, root mean square of its numbers; the paper's 3.5 for 3 x 32 x 32 of them"
    )
    hidden: int = Field(256, ge=1, description="width of the discriminator's two hidden layers")

    def build(self) -> None:
        """Create the discriminator."""
        self.discriminator = Discriminator(self.net.backbone.width, self.hidden)

    def loss(self, step: Step) -> Tensor:
        """The sum of all terms, a scalar, in three forward passes of both domains."""
        x, n = concatenated(step.source.x, step.target), len(step.source.x)
        features_BD = self.net.backbone(x)
        logits_BC = self.net.head(features_BD)
        domain = domain_loss(self.discriminator(reverse_gradient(features_BD, self.domain_weight)), n)
        changes_B = self.smoothness(x, logits_BC)
        target = changes_B[n:].mean() + entropy(logits_BC[n:]).mean()
        task = F.cross_entropy(logits_BC[:n], step.source.y)
        return task + domain + self.source_weight * changes_B[:n].mean() + self.target_weight * target

    def smoothness(self, x: Tensor, logits_BC: Tensor) -> Tensor:
        """Inputs (B, ...) and their logits (B, C) -> the cross-entropies (B,) of the predictions on perturbed inputs."""
        softmax_BC = logits_BC.detach().softmax(dim=1)
        noise = (PROBE * unit(torch.randn_like(x))).requires_grad_()
        probed = F.cross_entropy(self.net(x + noise), softmax_BC, reduction="sum")
        (direction,) = torch.autograd.grad(probed, noise)
        perturbed = x + self.radius * x[0].numel() ** 0.5 * unit(direction)
        return F.cross_entropy(self.net(perturbed), softmax_BC, reduction="none")


def unit(x: Tensor) -> Tensor:
    """Samples (B, ...) divided by their lengths; zeros stay zeros."""
    return F.normalize(x.flatten(1)).view_as(x)
