"""RankMe: the effective rank of the target features.

Garrido et al., RankMe: assessing the downstream performance of pretrained self-supervised representations by their rank, ICML
2023. https://arxiv.org/abs/2210.02885

A rank is no class structure: noise has a high one. As in the paper, 1e-7 is added to each share of the singular values.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tlbench.selection.base import Rule
from tlbench.selection.facts import Facts


@dataclass(frozen=True)
class RankMe(Rule):
    """exp of the entropy of the singular values."""

    reads = ("target_features",)

    def value(self, facts: Facts) -> float:
        """exp(-sum s log s), s = singular value / sum + 1e-7."""
        singular_values = np.linalg.svd(facts.target_features, compute_uv=False)
        shares = singular_values / max(float(singular_values.sum()), np.finfo(float).tiny) + 1e-7
        return float(np.exp(-(shares * np.log(shares)).sum()))
