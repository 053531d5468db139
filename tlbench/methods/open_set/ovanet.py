"""OVANet: a detector for each class, trained against the nearest other class; what its class's detector rejects is unknown.

Saito and Saenko, OVANet: one-vs-all network for universal domain adaptation, ICCV 2021. https://arxiv.org/abs/2104.03344
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn

from tlbench.methods.base import DeepMethod, Phase
from tlbench.terms import Step


class OVANet(DeepMethod):
    """CE(source) + 0.5 * (-log p_y(in) - log of the least p_c(out), c not y) + entropy_weight * entropy of all p_c(target).

    The detector of class c has two class vectors without a bias, of unit length after each step, and p_c is their softmax. A
    sample is unknown where the detector of the class that the head predicts gives p_c(out) > 0.5. Source and target go through
    the backbone in one pass, and the head has a bias; in the authors' code neither holds.
    """

    reads = frozenset({"source", "target"})
    label_sets = frozenset({"closed", "partial", "open", "universal"})
    entropy_weight: float = Field(0.1, ge=0, description="of the detectors' entropy on the target")

    def build(self) -> None:
        """Create the detectors: C class vectors for "out", then C for "in"."""
        self.detectors = nn.Linear(self.net.backbone.width, 2 * self.classes, bias=False)
        self.normalize(0.0)

    def phases(self) -> tuple[Phase, ...]:
        """One phase, after whose steps the class vectors get unit length."""
        return (Phase(self.loss, self.reads, after=self.normalize),)

    @torch.no_grad()
    def normalize(self, progress: float) -> None:
        """Give the class vectors of the detectors unit length."""
        self.detectors.weight.copy_(F.normalize(self.detectors.weight))

    def loss(self, step: Step) -> Tensor:
        """The sum of all terms, a scalar."""
        source_BD, target_BD = self.net.features(step.source.x, step.target)
        task = F.cross_entropy(self.net.head(source_BD), step.source.y)
        task = task + self.detector_loss(self.detectors(source_BD), step.source.y)
        return task + self.entropy_weight * self.detector_entropy(self.detectors(target_BD))

    def detector_loss(self, outputs: Tensor, y_B: Tensor) -> Tensor:
        """Outputs (B, 2C) and classes (B,) of source samples -> the loss of their own and the nearest other class, a scalar."""
        in_BC = self.log_odds(outputs)
        own_B1 = in_BC.gather(1, y_B[:, None])
        other_B = in_BC.scatter(1, y_B[:, None], -torch.inf).amax(dim=1)
        return 0.5 * (F.softplus(-own_B1).mean() + F.softplus(other_B).mean())

    def detector_entropy(self, outputs: Tensor) -> Tensor:
        """Outputs (B, 2C) -> the mean entropy of all detectors, a scalar."""
        in_BC = self.log_odds(outputs)
        return F.binary_cross_entropy_with_logits(in_BC, in_BC.sigmoid())

    def log_odds(self, outputs: Tensor) -> Tensor:
        """Outputs (B, 2C) -> log p_c(in) - log p_c(out) (B, C)."""
        return outputs[:, self.classes :] - outputs[:, : self.classes]

    def predict(self, x: Tensor) -> Tensor:
        """Inputs (B, ...) -> logits (B, C) and, of an open set, "unknown": the largest logit minus its detector's log odds."""
        features_BD = self.net.backbone(x)
        logits_BC: Tensor = self.net.head(features_BD)
        if not self.net.open_set:
            return logits_BC
        top_B1, class_B1 = logits_BC.max(dim=1, keepdim=True)
        return torch.cat([logits_BC, top_B1 - self.log_odds(self.detectors(features_BD)).gather(1, class_B1)], dim=1)
