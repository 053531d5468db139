"""Co-Tuning: in fine-tuning, the source's head learns too, from what the classes of the target are in terms of the source's.

You, Kou, Long and Wang, Co-Tuning for transfer learning, NeurIPS 2020.
https://proceedings.neurips.cc/paper/2020/hash/c8067ad1937f728f51288b3eb986afaa-Abstract.html
"""

from __future__ import annotations

import torch.nn.functional as F
from pydantic import Field
from torch import Tensor

from tlbench.methods.base import Passes, Phase
from tlbench.methods.source_then_target import SourceThenTarget
from tlbench.nn.prototypes import class_means
from tlbench.terms import Step


class CoTuning(SourceThenTarget):
    """CE(target head, y) + weight * CE(source head, R[y]), where R[y] is the mean source prediction over samples of class y.

    R is the authors' direct estimate, from the source-trained network in evaluation mode, without calibration. Both heads start
    from the one of the source where the classes are the same; the target's has no part in R.
    """

    tasks = frozenset({"classification"})
    soft_labels = False
    weight: float = Field(2.3, ge=0, description="of the cross-entropy of the source's head")

    def build(self) -> None:
        """Create the head of the target."""
        self.target_head = self.net.new_head()

    def phases(self) -> tuple[Phase, ...]:
        """The source; then both heads on the labelled target samples."""
        return self.source_phase(), self.target_phase(begin=self.relate)

    def relate(self, passes: Passes) -> None:
        """Compute the relationship of target classes to source classes; of the same classes, the head is copied as well."""
        if not self.net.is_inductive:
            self.target_head.load_state_dict(self.net.head.state_dict())
        probabilities_NC = passes.map("target_labeled", self.net).softmax(dim=1)
        self.relationship_CC, _ = class_means(probabilities_NC, passes.labels("target_labeled"), self.classes)

    def renew_head(self) -> None:
        """Nothing: the head of the source stays for the relationship, and that of the target is new."""

    def loss(self, step: Step) -> Tensor:
        """The sum of both terms, a scalar."""
        features_BD, y = self.net.backbone(step.target_labeled.x), step.target_labeled.y
        task = F.cross_entropy(self.target_head(features_BD), y)
        return (
            task + self.weight * F.cross_entropy(self.net.head(features_BD), self.relationship_CC[y]) if self.weight else task
        )

    def predict(self, x: Tensor) -> Tensor:
        """Logits (B, C) of the target's head."""
        logits: Tensor = self.target_head(self.net.backbone(x))
        return logits
