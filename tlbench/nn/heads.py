"""Heads beside the linear one: the domain discriminator of adversarial methods, and the classifier of source-free ones."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tlbench.nn.net import Backbone


class Discriminator(nn.Module):
    """Predicts the domain of features (B, D) as one logit per sample (B,), with two hidden layers and ReLU.

    With `hidden` = 0 it is a logistic regression.
    """

    def __init__(self, width: int, hidden: int) -> None:
        super().__init__()
        layers = [nn.Linear(width, hidden), nn.ReLU(), nn.Linear(hidden, hidden), nn.ReLU()] if hidden else []
        self.layers = nn.Sequential(*layers, nn.Linear(hidden or width, 1))

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
    linear = nn.Linear(backbone.width, width, bias=False)  # batch normalisation would take a bias out again
    nn.init.xavier_normal_(linear.weight)
    layers = [linear, nn.BatchNorm1d(width), *([nn.Dropout(dropout)] if dropout else [])]
    return Backbone([backbone, nn.Sequential(*layers)], width)
