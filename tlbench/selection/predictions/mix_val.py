"""MixVal: whether predictions on mixed target samples are those on the sample of the larger weight.

Hu et al., Mixed samples as probes for unsupervised model selection in domain adaptation, NeurIPS 2023.
https://openreview.net/forum?id=ackajXqei2

It takes the logits of mixed samples, 0.55 x_i + 0.45 x_j in the paper, and so needs samples that can be mixed: token ids
can't be. Pairs of one predicted class and pairs of two are averaged apart, and the authors' runs report them so. "both", as
in skada, is the mean of the two shares, or the one that exists. skada mixes each sample once.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from tlbench.errors import TlbenchError
from tlbench.selection.base import Rule
from tlbench.selection.facts import Facts
from tlbench.selection.probabilities import one_of


@dataclass(frozen=True)
class MixVal(Rule):
    """The share of mixed samples with the prediction of the larger component."""

    reads = ("target_logits", "mixed_logits", "mixed_indices")
    kind: Literal["both", "intra", "inter"] = "both"
    """Pairs of one predicted class, of two, or the mean of both shares."""

    def value(self, facts: Facts) -> float:
        """mean of the shares in pairs of one and of two predicted classes."""
        predicted = facts.target_logits.argmax(1)
        first, second = predicted[facts.mixed_indices].T
        agreement = facts.mixed_logits.argmax(1) == first
        groups = {"intra": agreement[first == second], "inter": agreement[first != second]}
        chosen = groups.values() if one_of("kind", self.kind, ("both", "intra", "inter")) == "both" else [groups[self.kind]]
        shares = [float(group.mean()) for group in chosen if len(group)]
        if not shares:
            raise TlbenchError(f"No mixed sample is of the kind {self.kind!r}. Mix more samples, or take the kind 'both'.")
        return sum(shares) / len(shares)
