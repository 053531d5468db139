"""MixMatch: guessed labels of the target, sharpened, and convex combinations of all samples and their labels.

Berthelot et al., MixMatch: a holistic approach to semi-supervised learning, NeurIPS 2019. https://arxiv.org/abs/1905.02249
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor

from tlbench.methods.base import DeepMethod
from tlbench.nn import augmentation
from tlbench.nn.net import concatenated
from tlbench.terms import Step


class MixMatch(DeepMethod):
    """CE(mixed source and labelled target samples) + weight * progress * mean |p - q|^2 / C of mixed views of the target.

    q is the mean prediction on two weak views, sharpened by the temperature. All samples of a step are mixed with a permutation
    of them, by one share from Beta(alpha, alpha) of which the larger side is theirs. The paper scores a moving average of the
    weights; here it is the network itself.
    """

    reads = frozenset({"source", "target", "target_labeled"})
    positions = False
    draws_per_sample = True
    weight: float = Field(75.0, ge=0, description="of the loss on the target at the end of the training")
    temperature: float = Field(0.5, gt=0, description="below 1: guessed labels become more confident")
    alpha: float = Field(0.75, gt=0, description="of the Beta distribution of the shares")

    def loss(self, step: Step) -> Tensor:
        """The sum of both terms, a scalar; the mixed samples share one forward pass."""
        views = concatenated(augmentation.weak(step.target), augmentation.weak(step.target))
        with torch.no_grad():
            guess_BC = self.guess(self.net(views))
        y = concatenated(step.source.y, step.target_labeled.y)
        labels = guess_BC.new_zeros(len(y), self.classes).scatter(1, y[:, None], 1)
        x = torch.cat([step.source.x, step.target_labeled.x, views])
        q = torch.cat([labels, guess_BC, guess_BC])
        order = torch.rand(len(x), device=x.device).argsort()
        share = self.draw_share(q)
        mixed_q = share * q + (1 - share) * q[order]
        logits = self.net(share * x + (1 - share) * x[order])
        n = len(labels)
        labelled = F.cross_entropy(logits[:n], mixed_q[:n])
        return labelled + self.weight * step.progress * (logits[n:].softmax(dim=1) - mixed_q[n:]).square().mean()

    def guess(self, logits_BC: Tensor) -> Tensor:
        """Logits (2 B, C) of two views -> guessed labels (B, C), each of sum 1."""
        mean_BC = torch.stack(logits_BC.float().softmax(dim=1).chunk(2)).mean(dim=0)
        sharp_BC = mean_BC.pow(1 / self.temperature)
        return sharp_BC / sharp_BC.sum(dim=1, keepdim=True)

    def draw_share(self, like: Tensor) -> Tensor:
        """One share () in [0.5, 1] on the device of a tensor."""
        alpha = like.new_full((), self.alpha)
        share: Tensor = torch.distributions.Beta(alpha, alpha, validate_args=False).sample()
        return torch.maximum(share, 1 - share)
