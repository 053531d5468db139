"""T3A: the head is replaced by class means of the test features that were predicted with the lowest entropy so far.

Iwasawa and Matsuo, Test-time classifier adjustment module for model-agnostic domain generalization, NeurIPS 2021.
https://proceedings.neurips.cc/paper/2021/hash/1415fe9fea0fa1e45dddcff5682239a0-Abstract.html
"""

from __future__ import annotations

import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, cat

from tlbench.methods.base import DeepMethod
from tlbench.methods.online import OnlineAdaptation, OnlineUpdate
from tlbench.nn.entropy import entropy
from tlbench.terms import Step


class T3A(DeepMethod):
    """CE on the source; then each class has supports, at first its vector in the head, and test features join them.

    The paper chooses the number of supports by validation among 1, 5, 20, 50, 100 and all.
    """

    reads = frozenset({"source", "stream"})
    supports: int = Field(100, ge=1, description="the largest number of supports of a class")

    def loss(self, step: Step) -> Tensor:
        """CE(source), a scalar."""
        return self.supervised(step)

    def online(self) -> OnlineAdaptation:
        """Nothing learns by gradients."""
        return OnlineAdaptation(adapt=self.adjust, begin=self.begin, decides_on_host=True)

    def begin(self) -> None:
        """Start from the vectors of the head, each a support of the class that the head predicts for it."""
        weight_CD = self.net.head.weight.detach().float()
        logits_CC = self.net.head(weight_CD).detach()
        self.features_SD, self.labels_S, self.entropy_S = weight_CD, logits_CC.argmax(dim=1), entropy(logits_CC)

    def adjust(self, x: Tensor, update: OnlineUpdate) -> Tensor:
        """Network inputs (B, ...) -> scores (B, C), the products of features with class means of length 1."""
        features_BD = self.net.backbone(x).float()
        logits_BC = self.net.head(features_BD)
        self.features_SD = cat([self.features_SD, features_BD])
        self.labels_S = cat([self.labels_S, logits_BC.argmax(dim=1)])
        self.entropy_S = cat([self.entropy_S, entropy(logits_BC)])
        self.select_supports()
        means_CD = F.one_hot(self.labels_S, self.classes).float().T @ F.normalize(self.features_SD, dim=1)
        return features_BD @ F.normalize(means_CD, dim=1).T

    def select_supports(self) -> None:
        """Drop the supports of each class beyond those of the lowest entropy."""
        by_class = [(self.labels_S == label).nonzero().squeeze(1) for label in range(self.classes)]
        selected = cat([of_class[self.entropy_S[of_class].argsort(stable=True)[: self.supports]] for of_class in by_class])
        self.features_SD, self.labels_S, self.entropy_S = (
            self.features_SD[selected],
            self.labels_S[selected],
            self.entropy_S[selected],
        )
