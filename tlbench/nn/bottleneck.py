"""What source-free methods put between the features and the classes: a bottleneck, and a head of normalised weights."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from tlbench.nn.net import Backbone


class WeightNormLinear(nn.Linear):
    """Logits norm_c <f, w_c / |w_c|> + b_c of features f (B, D); class vectors w_c and a norm (C, 1) of each are learned.

    The norms start at those of the vectors, so that it starts as a linear head.
    """

    def __init__(self, width: int, classes: int) -> None:
        super().__init__(width, classes)
        nn.init.zeros_(self.bias)
        self.norm = nn.Parameter(self.weight.detach().norm(dim=1, keepdim=True))

    def forward(self, x: Tensor) -> Tensor:
        """Features (B, D) -> logits (B, C)."""
        return F.linear(x, self.norm * F.normalize(self.weight), self.bias)


def with_bottleneck(backbone: Backbone, width: int, dropout: float = 0.0) -> Backbone:
    """The backbone followed by a linear layer and batch normalisation, as a backbone of two stages.

    Args:
        backbone: gives features (B, D).
        width: of the new features.
        dropout: share of the new features that is dropped in training.
    """
    linear = nn.Linear(backbone.width, width)
    nn.init.xavier_normal_(linear.weight)
    nn.init.zeros_(linear.bias)
    layers = [linear, nn.BatchNorm1d(width), *([nn.Dropout(dropout)] if dropout else [])]
    return Backbone([backbone, nn.Sequential(*layers)], width)
