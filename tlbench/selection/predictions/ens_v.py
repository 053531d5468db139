"""EnsV: the agreement of a candidate with the ensemble of all candidates.

Hu et al., Towards reliable model selection for unsupervised domain adaptation: an empirical study and a certified baseline,
NeurIPS 2024 (datasets and benchmarks). https://openreview.net/forum?id=rI7kbFTSpr

The number depends on the pool, and a majority of collapsed models wins. The ensemble is the mean of the candidates'
probabilities, this one's among them, as in the authors' code, which measures the mean accuracy of classes on VisDA.
"""

from __future__ import annotations

from dataclasses import dataclass

from tlbench.selection.base import Rule
from tlbench.selection.facts import Facts
from tlbench.selection.probabilities import softmax


@dataclass(frozen=True)
class EnsV(Rule):
    """The share of target samples with the prediction of the ensemble."""

    reads = ("target_logits", "pool_logits")

    def value(self, facts: Facts) -> float:
        """mean [argmax p = argmax mean_k p_k]."""
        ensemble = softmax(facts.pool_logits).mean(0).argmax(1)
        return float((facts.target_logits.argmax(1) == ensemble).mean())
