"""Entropy minimisation: the predictions on the target are made confident.

Grandvalet and Bengio, Semi-supervised learning by entropy minimization, NIPS 2004.
https://papers.nips.cc/paper/2740-semi-supervised-learning-by-entropy-minimization
"""

from __future__ import annotations

import torch.nn.functional as F
from pydantic import Field
from torch import Tensor

from tlbench.methods.base import DeepMethod
from tlbench.nn.entropy import entropy
from tlbench.terms import Step


class MinEntropy(DeepMethod):
    """CE(source) + weight * mean over target samples of the entropy of the prediction, in nats.

    One class for all samples is a minimum too. The paper leaves the weight open; 0.1 is that of deep adaptation's baselines.
    """

    reads = frozenset({"source", "target"})
    soft_labels = True
    weight: float = Field(0.1, ge=0, description="of the entropy")

    def loss(self, step: Step) -> Tensor:
        """The sum of both terms, a scalar; both come from one forward pass."""
        if not self.weight:
            return self.supervised(step)
        source_BD, target_BD = self.net.features(step.source.x, step.target)
        task = F.cross_entropy(self.net.head(source_BD), step.source.y)
        return task + self.weight * entropy(self.net.head(target_BD)).mean()
