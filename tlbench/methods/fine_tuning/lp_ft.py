"""LP-FT: first a linear probe on frozen features of the target, then fine-tuning of everything from that head.

Kumar, Raghunathan, Jones, Ma and Liang, Fine-tuning can distort pretrained features and underperform out-of-distribution,
ICLR 2022. https://arxiv.org/abs/2202.10054
"""

from __future__ import annotations

import dataclasses

from pydantic import Field
from torch import Tensor

from tlbench.methods.base import Group, Passes, Phase
from tlbench.methods.source_then_target import TARGET_LABELED, SourceThenTarget
from tlbench.terms import Step


class LPFT(SourceThenTarget):
    """The source; a new head on frozen features, as in linear_probe; then the backbone and that head together.

    The authors fit the probe by logistic regression; here it is trained for `probe_share` of the steps that are left.
    """

    soft_labels = False
    probe_share: float = Field(
        0.5, gt=0, lt=1, description="share of the steps after the source in which the probe learns alone"
    )

    def build(self) -> None:
        """Create the new head, the probe."""
        self.probe = self.net.new_head()

    def phases(self) -> tuple[Phase, ...]:
        """The source, the probe on features that are extracted once, and fine-tuning."""
        share = (1 - self.source_share) * self.probe_share
        frozen = (Group((self.probe,)), Group((self.net,), 0.0))
        tuned = self.target_phase((Group((self.probe, self.net.backbone)),))
        return (
            self.source_phase(),
            Phase(self.loss_of_probe, TARGET_LABELED, share, frozen, self.extract),
            dataclasses.replace(tuned, share=1 - self.source_share - share),
        )

    def extract(self, passes: Passes) -> None:
        """Extract the features (N, D) of all labelled target samples by the frozen backbone."""
        self.features_ND = passes.map("target_labeled", self.net.backbone)

    def loss_of_probe(self, step: Step) -> Tensor:
        """CE of the probe's logits of frozen features, a scalar."""
        return self.criterion(self.probe(self.features_ND[step.indices["target_labeled"]]), step.target_labeled.y)

    def loss(self, step: Step) -> Tensor:
        """CE(labelled target samples) through the backbone and the probe, a scalar."""
        return self.criterion(self.predict(step.target_labeled.x), step.target_labeled.y)

    def predict(self, x: Tensor) -> Tensor:
        """Logits (B, C) of the backbone and the probe."""
        logits: Tensor = self.probe(self.net.backbone(x))
        return logits
