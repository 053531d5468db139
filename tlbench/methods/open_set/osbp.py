"""OSBP: a head with a class "unknown", which is to be of one probability on the target, and features that take it from there.

Saito, Yamamoto, Ushiku and Harada, Open set domain adaptation by backpropagation, ECCV 2018. https://arxiv.org/abs/1804.10427
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn

from tlbench.methods.base import DeepMethod
from tlbench.nn.gradient_reversal import reverse_gradient
from tlbench.terms import Step


class OSBP(DeepMethod):
    """CE(source) over C + 1 classes + weight * BCE(p(unknown) of the target, boundary), behind a gradient reversal of k = 1.

    The head lowers the second term, the features raise it: they move a target sample to the known classes or to "unknown".
    """

    reads = frozenset({"source", "target"})
    label_sets = frozenset({"closed", "partial", "open", "universal"})
    weight: float = Field(1.0, ge=0, description="of the loss on the target; 0 is source_only, without a class for unknown")
    boundary: float = Field(0.5, gt=0, lt=1, description="the probability of unknown that the head is trained to")

    def build(self) -> None:
        """Create the class vector of "unknown", which stands beside those of the head."""
        self.unknown = nn.Linear(self.net.backbone.width, 1)

    def open_logits(self, features_BD: Tensor) -> Tensor:
        """Features (B, D) -> logits (B, C + 1), the last that of "unknown"."""
        return torch.cat([self.net.head(features_BD), self.unknown(features_BD)], dim=1)

    def loss(self, step: Step) -> Tensor:
        """Cross-entropy on the source and the loss on the target, a scalar."""
        if not self.weight:
            return self.supervised(step)
        source_BD, target_BD = self.net.features(step.source.x, step.target)
        task = F.cross_entropy(self.open_logits(source_BD), step.source.y)
        return task + self.weight * self.boundary_loss(self.open_logits(reverse_gradient(target_BD)))

    def boundary_loss(self, logits: Tensor) -> Tensor:
        """Logits (B, C + 1) of target samples -> the cross-entropy of p(unknown) and the boundary, a scalar."""
        odds_B = logits[:, -1] - logits[:, :-1].logsumexp(dim=1)
        return F.binary_cross_entropy_with_logits(odds_B, torch.full_like(odds_B, self.boundary))

    def predict(self, x: Tensor) -> Tensor:
        """Inputs (B, ...) -> logits (B, C + 1), the last that of "unknown"; (B, C) at weight 0 and where all is known."""
        features_BD = self.net.backbone(x)
        logits: Tensor = self.open_logits(features_BD) if self.weight and self.net.open_set else self.net.head(features_BD)
        return logits
