"""SHOT: the source is gone, its head stays; the backbone moves until the target's predictions are sure and diverse.

Liang, Hu and Feng, Do we really need to access the source data?, ICML 2020. https://arxiv.org/abs/2002.08546
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor

from tlbench.methods.base import DeepMethod, Group, Passes, Phase
from tlbench.terms import Step


class Shot(DeepMethod):
    """Source with smoothed labels; then, on the target alone, mean H(p) - H(mean p) + beta CE(pseudo-label)."""

    reads = frozenset({"source", "target"})
    source_share: float = Field(0.5, gt=0, lt=1, description="share of the steps spent on the source")
    smoothing: float = Field(0.1, ge=0, lt=1, description="of the source's labels")
    beta: float = Field(0.3, ge=0, description="of the pseudo-labels")
    rounds: int = Field(5, ge=1, description="how often pseudo-labels are made anew, over the second phase")

    def phases(self) -> tuple[Phase, ...]:
        """The second one reads no source row; its head is frozen."""
        source, target = frozenset({"source"}), frozenset({"target"})
        moving = (Group((self.net.backbone,)), Group((self.net.head,), 0.0))
        return (
            Phase(self.learn, source, self.source_share),
            Phase(self.loss, target, 1 - self.source_share, moving, self.relabel, self.rounds),
        )

    def learn(self, step: Step) -> Tensor:
        """CE with smoothed labels on the source."""
        return F.cross_entropy(self.net(step.source.x), step.source.y, label_smoothing=self.smoothing)

    def relabel(self, rows: Passes) -> None:
        """Nearest centroid by cosine over the whole target: soft centroids first, then once more with hard members."""
        features = rows.map("target", self.net.backbone)
        share = self.net.head(features).softmax(dim=1).detach()
        unit = F.normalize(torch.cat([features, features.new_ones(len(features), 1)], dim=1))
        present = torch.bincount(share.argmax(dim=1), minlength=self.classes) > 0
        for _ in range(2):
            centroids = F.normalize((share.T @ unit) / share.sum(dim=0)[:, None].clamp_min(1e-8))
            closeness = (unit @ centroids.T).masked_fill(~present, -2.0)
            self.label_N = closeness.argmax(dim=1)
            share = F.one_hot(self.label_N, self.classes).to(unit.dtype)

    def loss(self, step: Step) -> Tensor:
        """Information maximisation and the pseudo-labels of the drawn rows."""
        logits = self.net(step.target)
        logs = logits.float().log_softmax(dim=1)
        mean = logs.exp().mean(dim=0)
        sure = -(logs.exp() * logs).sum(dim=1).mean()
        diverse = -(mean * mean.clamp_min(1e-8).log()).sum()
        return sure - diverse + self.beta * F.cross_entropy(logits, self.label_N[step.indices["target"]])
