"""SHOT: source-free adaptation; the source's classifier is frozen, and features learn information and pseudo-labels.

Liang, Hu and Feng, Do we really need to access the source data?, ICML 2020. https://arxiv.org/abs/2002.08546
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor

from tlbench.methods.base import Passes, Phase
from tlbench.methods.source_free._source_free import SourceFree
from tlbench.nn.entropy import entropy, entropy_of_mean
from tlbench.terms import Step


class SHOT(SourceFree):
    """Mean H(p) - H(mean p) + beta CE(pseudo-label) on batches of the target, entropies in nats."""

    version = 2
    beta: float = Field(0.3, ge=0, description="of the cross-entropy on pseudo-labels; 0.1 in the authors' code for digits")
    rounds: int = Field(0, ge=0, description="how often pseudo-labels are computed on the target; 0: once an epoch")

    def target_phase(self) -> Phase:
        """The phase on the target, with a frozen classifier."""
        return self.adaptation(0.0, self.relabel, self.rounds or None)

    def relabel(self, passes: Passes) -> None:
        """Compute the pseudo-labels (N,) of all target samples."""
        features_ND = passes.map("target", self.net.backbone)
        self.label_N = self.nearest_centroids(features_ND, self.net.head(features_ND).softmax(dim=1).detach())

    def nearest_centroids(self, features_ND: Tensor, softmax_NC: Tensor) -> Tensor:
        """Features (N, D) and predictions (N, C) -> the class (N,) of the nearest centroid by the cosine, with a 1 appended.

        Centroids are weighted by the predictions in a first round, and by the labels of that round in a second. A class that no
        sample has before a round has no centroid in it.
        """
        unit_NE = F.normalize(torch.cat([features_ND, features_ND.new_ones(len(features_ND), 1)], dim=1))
        weights_NC, label_N = softmax_NC, softmax_NC.argmax(dim=1)
        for _ in range(2):
            present_C = torch.bincount(label_N, minlength=self.classes) > 0
            centroids_CE = F.normalize((weights_NC.T @ unit_NE) / weights_NC.sum(dim=0)[:, None].clamp_min(1e-8))
            label_N = (unit_NE @ centroids_CE.T).masked_fill(~present_C, -2.0).argmax(dim=1)
            weights_NC = F.one_hot(label_N, self.classes).to(unit_NE.dtype)
        return label_N

    def loss(self, step: Step) -> Tensor:
        """Information maximisation and the cross-entropy on the batch's pseudo-labels, a scalar."""
        logits_BC = self.net(step.target)
        information = entropy_of_mean(logits_BC) - entropy(logits_BC).mean()
        return self.beta * F.cross_entropy(logits_BC, self.label_N[step.indices["target"]]) - information
