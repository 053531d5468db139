"""SHOT: source-free adaptation; the source's head is frozen, and the backbone maximises the information of predictions.

Liang, Hu and Feng, Do we really need to access the source data?, ICML 2020. https://arxiv.org/abs/2002.08546
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor

from tlbench.methods.base import DeepMethod, Group, Passes, Phase
from tlbench.terms import Step


class SHOT(DeepMethod):
    """CE with smoothed labels on the source; then, on the target alone, mean H(p) - H(mean p) + beta CE(pseudo-label)."""

    reads = frozenset({"source", "target"})
    source_share: float = Field(0.5, gt=0, lt=1, description="share of the steps spent on the source")
    smoothing: float = Field(0.1, ge=0, lt=1, description="label smoothing on the source")
    beta: float = Field(0.3, ge=0, description="weight of the cross-entropy on pseudo-labels")
    rounds: int = Field(5, ge=1, description="how often pseudo-labels are computed during the second phase")

    def phases(self) -> tuple[Phase, ...]:
        """The source; then the target without any source sample and with a frozen head."""
        source, target = frozenset({"source"}), frozenset({"target"})
        groups = (Group((self.net.backbone,)), Group((self.net.head,), 0.0))
        return (
            Phase(self.learn, source, self.source_share),
            Phase(self.loss, target, 1 - self.source_share, groups, self.relabel, self.rounds),
        )

    def learn(self, step: Step) -> Tensor:
        """CE with smoothed labels on the source, a scalar."""
        return F.cross_entropy(self.net(step.source.x), step.source.y, label_smoothing=self.smoothing)

    def relabel(self, passes: Passes) -> None:
        """Compute the pseudo-labels (N,) of all target samples: those of the nearest centroids by cosine similarity.

        Centroids are weighted by the predictions in a first round, and by the pseudo-labels of that round in a second.
        """
        features_ND = passes.map("target", self.net.backbone)
        weights_NC = self.net.head(features_ND).softmax(dim=1).detach()
        unit_NE = F.normalize(torch.cat([features_ND, features_ND.new_ones(len(features_ND), 1)], dim=1))
        present_C = torch.bincount(weights_NC.argmax(dim=1), minlength=self.classes) > 0
        for _ in range(2):
            centroids_CE = F.normalize((weights_NC.T @ unit_NE) / weights_NC.sum(dim=0)[:, None].clamp_min(1e-8))
            cosines_NC = (unit_NE @ centroids_CE.T).masked_fill(~present_C, -2.0)
            self.label_N = cosines_NC.argmax(dim=1)
            weights_NC = F.one_hot(self.label_N, self.classes).to(unit_NE.dtype)

    def loss(self, step: Step) -> Tensor:
        """Information maximisation and the cross-entropy on the batch's pseudo-labels, a scalar."""
        logits_BC = self.net(step.target)
        logs_BC = logits_BC.float().log_softmax(dim=1)
        mean_C = logs_BC.exp().mean(dim=0)
        mean_entropy = -(logs_BC.exp() * logs_BC).sum(dim=1).mean()
        entropy_of_mean = -(mean_C * mean_C.clamp_min(1e-8).log()).sum()
        return mean_entropy - entropy_of_mean + self.beta * F.cross_entropy(logits_BC, self.label_N[step.indices["target"]])
