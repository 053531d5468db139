"""Nearest class mean: features of a source-trained network, and the class whose mean over labelled target samples is nearest.

Mensink, Verbeek, Perronnin and Csurka, Distance-based image classification: generalizing to new classes at near-zero cost,
IEEE TPAMI 2013. https://doi.org/10.1109/TPAMI.2013.83
"""

from __future__ import annotations

import torch.nn.functional as F
from pydantic import Field
from torch import Tensor

from tlbench.methods.base import DeepMethod, Group, Passes, Phase
from tlbench.nn.prototypes import class_means, set_nearest_mean_head
from tlbench.terms import Step


class NearestClassMean(DeepMethod):
    """All steps on the source; then the head is set to the class means of the labelled target samples, without a step."""

    reads = frozenset({"source", "target_labeled"})
    normalized: bool = Field(True, description="means of normalised features and cosines; false: Euclidean distances")

    def phases(self) -> tuple[Phase, ...]:
        """The source; then one pass over the labelled target samples."""
        target = frozenset({"target_labeled"})
        fit = Phase(None, frozenset(), 0.0, (Group((self.net.head,)),), begin=self.set_head, passes=target)
        return Phase(self.loss, frozenset({"source"})), fit

    def loss(self, step: Step) -> Tensor:
        """CE(source), a scalar."""
        return self.supervised(step)

    def set_head(self, passes: Passes) -> None:
        """Set the head to the class means."""
        features_ND, y_N = passes.map("target_labeled", self.net.backbone), passes.labels("target_labeled")
        if self.normalized:
            features_ND = F.normalize(features_ND)
        means_CD, counts_C = class_means(features_ND, y_N, self.classes)
        set_nearest_mean_head(self.net.head, means_CD, counts_C, cosine=self.normalized)
