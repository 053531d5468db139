"""Heads beside the classifier."""

from __future__ import annotations

from torch import Tensor, nn


class Discriminator(nn.Module):
    """Which domain a feature row is from: (B, D) -> one logit per row (B,). Two hidden layers with ReLU."""

    def __init__(self, width: int, hidden: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Linear(width, hidden), nn.ReLU(), nn.Linear(hidden, hidden), nn.ReLU(), nn.Linear(hidden, 1)
        )

    def forward(self, x: Tensor) -> Tensor:
        """Features (B, D) -> logits (B,); positive says source."""
        logit: Tensor = self.layers(x).squeeze(1)
        return logit
