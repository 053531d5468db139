"""Prototypical network: features trained on episodes of the source, so that samples lie near the mean of their class.

Snell, Swersky and Zemel, Prototypical networks for few-shot learning, NeurIPS 2017. https://arxiv.org/abs/1703.05175
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor

from tlbench.methods.base import DeepMethod, Group, Passes, Phase
from tlbench.nn.prototypes import class_means, set_nearest_mean_head
from tlbench.terms import Step


class Prototypical(DeepMethod):
    """CE of minus squared distances to the prototypes of an episode; then the prototypes of the labelled target samples.

    Each batch of the source is an episode: `shot` of its samples per class, drawn at random, are the support, and the others
    are the queries. The ways of an episode are the classes that its batch holds.
    """

    reads = frozenset({"source", "target_labeled"})
    draws_per_sample = True
    shot: int = Field(5, ge=1, description="support samples per class of an episode; at most half of the batch's")

    def phases(self) -> tuple[Phase, ...]:
        """Episodes on the source; then one pass over the labelled target samples."""
        target = frozenset({"target_labeled"})
        fit = Phase(None, frozenset(), 0.0, (Group((self.net.head,)),), begin=self.set_head, passes=target)
        return Phase(self.loss, frozenset({"source"}), groups=(Group((self.net.backbone,)),)), fit

    def loss(self, step: Step) -> Tensor:
        """The mean cross-entropy of the queries of an episode, a scalar."""
        is_support_B = draw_support(step.source.y, self.shot)
        return episode_loss(self.net.backbone(step.source.x), step.source.y, is_support_B, self.net.source_classes)

    def set_head(self, passes: Passes) -> None:
        """Set the head to the nearest prototype."""
        features_ND, y_N = passes.map("target_labeled", self.net.backbone), passes.labels("target_labeled")
        set_nearest_mean_head(self.net.head, *class_means(features_ND, y_N, self.classes), cosine=False)


def draw_support(y_B: Tensor, shot: int) -> Tensor:
    """Labels (B,) -> whether each sample (B,) is drawn into the support: at most `shot`, and half of a class, rounded up."""
    order_B = torch.rand(len(y_B), device=y_B.device)
    is_same_BB = y_B[:, None] == y_B
    rank_B = (is_same_BB & (order_B[:, None] > order_B)).sum(dim=1)
    return rank_B < ((is_same_BB.sum(dim=1) + 1) // 2).clamp_max(shot)


def episode_loss(features_BD: Tensor, y_B: Tensor, is_support_B: Tensor, classes: int) -> Tensor:
    """The mean cross-entropy of the queries, a scalar; 0 where there are none.

    Args:
        features_BD: features (B, D) of support and queries.
        y_B: labels (B,).
        is_support_B: whether each sample (B,) belongs to the support.
        classes: C; classes without support take no part.
    """
    support_BC = (y_B[:, None] == torch.arange(classes, device=y_B.device)) & is_support_B[:, None]
    counts_C = support_BC.sum(dim=0)
    means_CD = support_BC.to(features_BD.dtype).T @ features_BD / counts_C.clamp_min(1)[:, None]
    distances_BC = (features_BD[:, None] - means_CD).square().sum(dim=2)
    logits_BC = (-distances_BC).masked_fill(counts_C == 0, torch.finfo(distances_BC.dtype).min)
    losses_B = F.cross_entropy(logits_BC, y_B, reduction="none")
    return (losses_B * ~is_support_B).sum() / (~is_support_B).sum().clamp_min(1)
