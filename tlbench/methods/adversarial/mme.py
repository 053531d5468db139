"""MME: beside labelled target samples, the classifier raises the entropy on the target, and the features lower it.

Saito, Kim, Sclaroff, Darrell and Saenko, Semi-supervised domain adaptation via minimax entropy, ICCV 2019.
https://arxiv.org/abs/1904.06487
"""

from __future__ import annotations

import torch.nn.functional as F
from pydantic import Field
from torch import Tensor

from tlbench.methods.base import AlternatingUpdate, DeepMethod, Phase
from tlbench.nn.entropy import entropy
from tlbench.nn.gradient_reversal import reverse_gradient
from tlbench.nn.net import concatenated
from tlbench.terms import Step


class MME(DeepMethod):
    """Each step: an update on CE(source and labelled target samples), then one on -weight * mean H(p(R(f))) of the target.

    The head takes features of norm 1 and has no bias: logits are W f / (|f| temperature). It raises the entropy of the target;
    the features, behind a gradient reversal, lower it.
    """

    reads = frozenset({"source", "target", "target_labeled"})
    soft_labels = True
    weight: float = Field(0.1, ge=0, description="of the entropy; at 0 what remains is training on source and labelled target")
    temperature: float = Field(0.05, gt=0, description="that divides the logits")

    def build(self) -> None:
        """Remove the bias of the head."""
        self.net.head.register_parameter("bias", None)

    def phases(self) -> tuple[Phase, ...]:
        """The alternating updates."""
        adapt = (AlternatingUpdate(self.adapt),) if self.weight else ()
        return (Phase((AlternatingUpdate(self.learn), *adapt), self.reads),)

    def learn(self, step: Step) -> Tensor:
        """The cross-entropy of source and labelled target samples, a mean over both batches; a scalar."""
        features = self.net.features(step.source.x, step.target_labeled.x)
        return F.cross_entropy(self.cosine_logits(concatenated(*features)), concatenated(step.source.y, step.target_labeled.y))

    def adapt(self, step: Step) -> Tensor:
        """Minus the weighted entropy on the target, a scalar; its gradient to the features is reversed."""
        return -self.weight * entropy(self.cosine_logits(reverse_gradient(self.net.backbone(step.target)))).mean()

    def cosine_logits(self, features_BD: Tensor) -> Tensor:
        """Features (B, D) -> logits (B, C), the same for features of every length."""
        logits: Tensor = self.net.head(F.normalize(features_BD)) / self.temperature
        return logits

    def predict(self, x: Tensor) -> Tensor:
        """Network inputs (B, ...) -> logits (B, C)."""
        return self.cosine_logits(self.net.backbone(x))
