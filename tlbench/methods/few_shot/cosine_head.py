"""Cosine head (Baseline++): heads of cosines, one trained on the source, and a new one on frozen features of the target.

Chen, Liu, Kira, Wang and Huang, A closer look at few-shot classification, ICLR 2019. https://arxiv.org/abs/1904.04232
"""

from __future__ import annotations

from pydantic import Field
from torch import Tensor

from tlbench.methods.base import Group, Passes, Phase
from tlbench.methods.source_then_target import SourceThenTarget
from tlbench.nn.cosine_head import CosineHead
from tlbench.terms import Step


class CosineHeads(SourceThenTarget):
    """scale * norm_c * cos(features, w_c), with a norm for each class that learns, as in the authors' code."""

    tasks = frozenset({"classification"})
    soft_labels = False
    scale: float = Field(2.0, gt=0, description="of the cosines; the authors take 10 above 200 classes")

    def build(self) -> None:
        """Replace the head by one of cosines, and create that of the target."""
        self.net.head = CosineHead(self.net.backbone.width, self.net.source_classes, self.scale)
        self.target_head = CosineHead(self.net.backbone.width, self.classes, self.scale)

    def renew_head(self) -> None:
        """Nothing: the head of the target is another one."""

    def phases(self) -> tuple[Phase, ...]:
        """The source; then the new head on features that are extracted once."""
        return self.source_phase(), self.target_phase((Group((self.target_head,)), Group((self.net,), 0.0)), self.extract)

    def extract(self, passes: Passes) -> None:
        """Extract the features (N, D) of all labelled target samples by the frozen backbone."""
        self.features_ND = passes.map("target_labeled", self.net.backbone)

    def loss(self, step: Step) -> Tensor:
        """CE of the new head's logits of frozen features, a scalar."""
        return self.criterion(self.target_head(self.features_ND[step.indices["target_labeled"]]), step.target_labeled.y)

    def predict(self, x: Tensor) -> Tensor:
        """Logits (B, C) of the frozen backbone and the new head."""
        logits: Tensor = self.target_head(self.net.backbone(x))
        return logits
