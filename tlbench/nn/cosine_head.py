"""A head whose logits are cosines between features and class vectors."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class CosineHead(nn.Linear):
    """Logits scale * norm_c * cos(f, w_c) of features f (B, D), with class vectors w_c and a norm (C, 1) of each, both learned.

    The norms start at those of the vectors, so that it starts as a linear head without bias on normalised features.

    Args:
        width: D.
        classes: C.
        scale: a factor of all logits.
    """

    def __init__(self, width: int, classes: int, scale: float) -> None:
        super().__init__(width, classes, bias=False)
        self.scale = scale
        self.norm = nn.Parameter(self.weight.detach().norm(dim=1, keepdim=True))

    def forward(self, x: Tensor) -> Tensor:
        """Features (B, D) -> logits (B, C)."""
        directions_CD = self.norm * F.normalize(self.weight)
        unit_BD = x / (torch.linalg.vector_norm(x, dim=1, keepdim=True) + 1e-5)
        return self.scale * F.linear(unit_BD, directions_CD)
