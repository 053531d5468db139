"""Heads beside the classifier: the domain discriminator of adversarial methods."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class Discriminator(nn.Module):
    """Predicts the domain of features (B, D) as one logit per sample (B,), with two hidden layers and ReLU."""

    def __init__(self, width: int, hidden: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Linear(width, hidden), nn.ReLU(), nn.Linear(hidden, hidden), nn.ReLU(), nn.Linear(hidden, 1)
        )

    def forward(self, x: Tensor) -> Tensor:
        """Features (B, D) -> logits (B,); a positive logit means source."""
        logit: Tensor = self.layers(x).squeeze(1)
        return logit


def domain_loss(logits_B: Tensor, source_count: int) -> Tensor:
    """The binary cross-entropy of a discriminator's logits (B,), a scalar; the first `source_count` are the source's.

    It is a mean over the samples of both domains.
    """
    is_source = torch.zeros_like(logits_B)
    is_source[:source_count] = 1
    return F.binary_cross_entropy_with_logits(logits_B, is_source)
