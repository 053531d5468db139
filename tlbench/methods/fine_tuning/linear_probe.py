"""Linear probe: a backbone trained on the source and then frozen, and a new linear head for the labelled target samples.

Donahue et al., DeCAF: a deep convolutional activation feature for generic visual recognition, ICML 2014.
https://arxiv.org/abs/1310.1531
"""

from __future__ import annotations

from pydantic import Field
from torch import Tensor

from tlbench.methods.base import DeepMethod, Group, Passes, Phase
from tlbench.terms import Step


class LinearProbe(DeepMethod):
    """`source_share` of the steps train backbone and head on the source, the others a new head on frozen features."""

    reads = frozenset({"source", "target_labeled"})
    tasks = frozenset({"classification", "regression"})
    source_share: float = Field(0.5, gt=0, lt=1, description="share of the steps spent on the source")

    def build(self) -> None:
        """Create the new head, the probe."""
        self.probe = self.net.new_head()

    def phases(self) -> tuple[Phase, ...]:
        """The source, then the probe on features that are extracted once."""
        source, target = frozenset({"source"}), frozenset({"target_labeled"})
        return (
            Phase(self.supervised, source, self.source_share, (Group((self.net,)),)),
            Phase(self.loss, target, 1 - self.source_share, (Group((self.probe,)), Group((self.net,), 0.0)), self.extract),
        )

    def extract(self, passes: Passes) -> None:
        """Extract the features (N, D) of all labelled target samples by the frozen backbone."""
        self.features_ND = passes.map("target_labeled", self.net.backbone)

    def loss(self, step: Step) -> Tensor:
        """CE of the probe's logits of frozen features, a scalar."""
        return self.criterion(self.probe(self.features_ND[step.indices["target_labeled"]]), step.target_labeled.y)

    def predict(self, x: Tensor) -> Tensor:
        """Logits (B, C) of the frozen backbone and the probe."""
        logits: Tensor = self.probe(self.net.backbone(x))
        return logits
