"""MCD: two heads that disagree on the target show where it lies off the source; the backbone learns to end the quarrel.

Saito, Watanabe, Ushiku and Harada, Maximum classifier discrepancy for unsupervised domain adaptation, CVPR 2018.
https://arxiv.org/abs/1712.02560
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor

from tlbench.methods.base import AlternatingUpdate, DeepMethod, Phase
from tlbench.terms import Step


class Mcd(DeepMethod):
    """Three turns a step: all learn the source (A); the heads also raise their discrepancy (B); the backbone lowers it (C).

    The discrepancy is the mean over rows and classes of |p1 - p2|, in [0, 2 / C]. Predictions are of both heads' sum.
    """

    reads = frozenset({"source", "target"})
    weight: float = Field(1.0, ge=0, description="of the discrepancy in B and C")
    repeat: int = Field(4, ge=1, description="how often C follows B in a step")

    def build(self) -> None:
        """The second head; it starts elsewhere than the first, or the discrepancy would be 0 for ever."""
        self.second = self.net.new_head()

    def phases(self) -> tuple[Phase, ...]:
        """The game; at weight 0 the baseline."""
        if not self.weight:
            return (Phase(self.supervised, self.reads),)
        heads = (self.net.head, self.second)
        turns = (
            AlternatingUpdate(self.learn),
            AlternatingUpdate(self.disagree, heads),
            AlternatingUpdate(self.agree, (self.net.backbone,), self.repeat),
        )
        return (Phase(turns, self.reads),)

    def learn(self, step: Step) -> Tensor:
        """A: CE of both heads on the source."""
        source_BD = self.net.backbone(step.source.x)
        return sum_of_losses(self.net.head(source_BD), self.second(source_BD), step.source.y)

    def disagree(self, step: Step) -> Tensor:
        """B: CE of both heads minus their discrepancy on the target; the features are given."""
        with torch.no_grad():
            source_BD, target_BD = self.net.features(step.source.x, step.target)
        task = sum_of_losses(self.net.head(source_BD), self.second(source_BD), step.source.y)
        return task - self.weight * self.discrepancy(target_BD)

    def agree(self, step: Step) -> Tensor:
        """C: the discrepancy, through the backbone."""
        return self.weight * self.discrepancy(self.net.backbone(step.target))

    def discrepancy(self, target_BD: Tensor) -> Tensor:
        """Mean absolute difference of the two heads' softmax."""
        return (self.net.head(target_BD).softmax(dim=1) - self.second(target_BD).softmax(dim=1)).abs().mean()

    def predict(self, x: Tensor) -> Tensor:
        """The sum of both heads' logits; at weight 0 the first alone has learnt."""
        features_BD = self.net.backbone(x)
        logits: Tensor = self.net.head(features_BD)
        return logits + self.second(features_BD) if self.weight else logits


def sum_of_losses(first: Tensor, second: Tensor, y: Tensor) -> Tensor:
    """CE of both heads."""
    return F.cross_entropy(first, y) + F.cross_entropy(second, y)
