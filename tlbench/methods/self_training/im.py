"""IM: information maximisation; each prediction on the target is confident, and all classes are predicted.

Shi and Sha, Information-theoretical learning of discriminative clusters for unsupervised domain adaptation, ICML 2012.
https://arxiv.org/abs/1206.6438
Krause, Perona and Gomes, Discriminative clustering by regularized information maximization, NIPS 2010.
"""

from __future__ import annotations

import torch.nn.functional as F
from pydantic import Field
from torch import Tensor

from tlbench.methods.base import DeepMethod
from tlbench.nn.entropy import entropy, entropy_of_mean
from tlbench.terms import Step


class IM(DeepMethod):
    """CE(source) + weight * (mean H(p) - balance * H(mean p)) over the target batch, entropies in nats.

    At balance 1 the second term is minus the mutual information of samples and predictions, in [-log C, 0].
    """

    reads = frozenset({"source", "target"})
    soft_labels = True
    weight: float = Field(1.0, ge=0, description="of the information")
    balance: float = Field(1.0, ge=0, description="of the entropy of the mean prediction; below 1 for imbalanced classes")

    def loss(self, step: Step) -> Tensor:
        """The sum of both terms, a scalar; both come from one forward pass."""
        if not self.weight:
            return self.supervised(step)
        source_BD, target_BD = self.net.features(step.source.x, step.target)
        task = F.cross_entropy(self.net.head(source_BD), step.source.y)
        logits_BC = self.net.head(target_BD)
        return task + self.weight * (entropy(logits_BC).mean() - self.balance * entropy_of_mean(logits_BC))
