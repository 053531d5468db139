"""Feature extraction: a backbone trained on the source and then frozen, and a new linear head for the few target labels.

Donahue et al., DeCAF: a deep convolutional activation feature for generic visual recognition, ICML 2014.
https://arxiv.org/abs/1310.1531
"""

from __future__ import annotations

from pydantic import Field
from torch import Tensor

from tlbench.methods.base import DeepMethod, Group, Passes, Phase
from tlbench.terms import Step


class LinearProbe(DeepMethod):
    """Half of the budget trains backbone and head on the source, the other half a new head on frozen features."""

    reads = frozenset({"source", "target_labeled"})
    tasks = frozenset({"classification", "regression"})
    source_share: float = Field(0.5, gt=0, lt=1, description="share of the steps spent on the source")

    def build(self) -> None:
        """The new head."""
        self.probe = self.net.new_head()

    def phases(self) -> tuple[Phase, ...]:
        """Source, then the probe."""
        source, few = frozenset({"source"}), frozenset({"target_labeled"})
        return (
            Phase(self.supervised, source, self.source_share, (Group((self.net,)),)),
            Phase(self.loss, few, 1 - self.source_share, (Group((self.probe,)), Group((self.net,), 0.0)), self.extract),
        )

    def extract(self, rows: Passes) -> None:
        """The frozen backbone runs over the few rows once."""
        self.features_ND = rows.map("target_labeled", self.net.backbone)

    def loss(self, step: Step) -> Tensor:
        """CE(probe(frozen features of the few))."""
        return self.criterion(self.probe(self.features_ND[step.indices["target_labeled"]]), step.target_labeled.y)

    def predict(self, x: Tensor) -> Tensor:
        """Through the frozen backbone and the new head."""
        logits: Tensor = self.probe(self.net.backbone(x))
        return logits
