"""SHOT-IM: source-free adaptation by information maximisation; the source's classifier is frozen.

Liang, Hu and Feng, Do we really need to access the source data?, ICML 2020. https://arxiv.org/abs/2002.08546
"""

from __future__ import annotations

from torch import Tensor

from tlbench.methods.base import Phase
from tlbench.methods.source_free._source_free import SourceFree
from tlbench.nn.entropy import entropy, entropy_of_mean
from tlbench.terms import Step


class SHOTIM(SourceFree):
    """Mean H(p) - H(mean p) on batches of the target, entropies in nats: `shot` without its pseudo-labels."""

    def target_phase(self) -> Phase:
        """The phase on the target, with a frozen classifier."""
        return self.adaptation(head_scale=0.0)

    def loss(self, step: Step) -> Tensor:
        """Minus the mutual information of target samples and predictions, a scalar in [-log C, 0]."""
        logits_BC = self.net(step.target)
        return entropy(logits_BC).mean() - entropy_of_mean(logits_BC)
