"""RSC: the features that the prediction rests on most are muted, so that the others learn as well.

Huang, Wang, Xing and Huang, Self-challenging improves cross-domain generalization, ECCV 2020.
https://arxiv.org/abs/2007.02454
"""

from __future__ import annotations

import torch
from pydantic import Field
from torch import Tensor

from tlbench.methods.base import DeepMethod
from tlbench.methods.domain_generalization._risks import class_probabilities
from tlbench.terms import Step


class RSC(DeepMethod):
    """CE(source) with muted features: those of the largest gradients of the true class's logit, in the samples that need them.

    The head is linear, so that the gradient is its weights of the class. A sample is muted where that lowers its probability of
    the true class by the most. As in DomainBed, single features are muted, and sources are not told apart.
    """

    reads = frozenset({"source"})
    soft_labels = True
    feature_share: float = Field(1 / 3, ge=0, le=1, description="share of the features that are muted")
    sample_share: float = Field(1 / 3, ge=0, le=1, description="share of the samples of which features are muted")

    def loss(self, step: Step) -> Tensor:
        """The cross-entropy of the predictions from the muted features, a scalar."""
        features_BD = self.net.backbone(step.source.x)
        mask_BD = self.mask(features_BD.detach(), class_probabilities(step.source.y, self.net.head.out_features))
        return self.criterion(self.net.head(features_BD * mask_BD), step.source.y)

    @torch.no_grad()
    def mask(self, features_BD: Tensor, y_BC: Tensor) -> Tensor:
        """Features (B, D) and class probabilities (B, C) -> 1 for the features that are left and 0 for others (B, D)."""
        gradient_BD = y_BC @ self.net.head.weight
        left_BD = gradient_BD < gradient_BD.quantile(1 - self.feature_share, dim=1, keepdim=True)
        before_BC = self.net.head(features_BD).softmax(dim=1)
        after_BC = self.net.head(features_BD * left_BD).softmax(dim=1)
        fall_B = ((before_BC - after_BC) * y_BC).sum(dim=1)
        is_whole_B = fall_B < fall_B.quantile(1 - self.sample_share)
        return (left_BD | is_whole_B[:, None]).to(features_BD.dtype)
