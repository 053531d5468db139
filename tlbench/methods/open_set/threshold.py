"""Threshold: source_only, which says "unknown" where it is not sure; the baseline of methods for open sets.

By confidence: Hendrycks and Gimpel, A baseline for detecting misclassified and out-of-distribution examples in neural networks,
ICLR 2017. https://arxiv.org/abs/1610.02136 By entropy, unknown above half of log C: Saito, Kim, Sclaroff and Saenko, Universal
domain adaptation through self supervision, NeurIPS 2020. https://arxiv.org/abs/2002.07953
"""

from __future__ import annotations

import math
from typing import Literal

import torch
from pydantic import Field
from torch import Tensor

from tlbench.methods.base import DeepMethod
from tlbench.nn.entropy import entropy
from tlbench.terms import Step


class Threshold(DeepMethod):
    """Cross-entropy on the source; unknown where H(p) / log C > threshold, or where the largest probability is below it."""

    reads = frozenset({"source"})
    label_sets = frozenset({"closed", "partial", "open", "universal"})
    soft_labels = True
    measure: Literal["entropy", "confidence"] = Field("entropy", description="entropy over log C, or the largest probability")
    threshold: float = Field(0.5, gt=0, lt=1, description="a sample of more entropy, or less confidence, is unknown")

    def loss(self, step: Step) -> Tensor:
        """CE(source), a scalar."""
        return self.supervised(step)

    def predict(self, x: Tensor) -> Tensor:
        """Inputs (B, ...) -> logits (B, C); of an open set probabilities, with a score of "unknown" by the measure."""
        logits_BC: Tensor = self.net(x)
        return self.with_unknown(logits_BC) if self.net.open_set else logits_BC

    def with_unknown(self, logits_BC: Tensor) -> Tensor:
        """Logits (B, C) -> probabilities (B, C) and a score that is above all of them where the sample is unknown."""
        softmax_BC = logits_BC.softmax(dim=1)
        top_B = softmax_BC.amax(dim=1)
        if self.measure == "confidence":
            unknown_B = torch.full_like(top_B, self.threshold)
        else:
            unknown_B = top_B + entropy(logits_BC) / math.log(max(self.classes, 2)) - self.threshold
        return torch.cat([softmax_BC, unknown_B[:, None]], dim=1)
