"""Batch nuclear norm: certain and diverse predictions by the nuclear norm of their matrix.

Cui et al., Towards discriminability and diversity: batch nuclear-norm maximization under label insufficient situations, CVPR
2020. https://arxiv.org/abs/2003.12237

The norm grows as the square root of the number of samples and is divided by that number, as in pytorch-adapt: compare
checkpoints on the same samples. It is the loss of BNM, which it favours.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tlbench.selection.base import Rule
from tlbench.selection.facts import Facts
from tlbench.selection.probabilities import softmax


@dataclass(frozen=True)
class BNM(Rule):
    """The nuclear norm of the target predictions by the number of samples."""

    reads = ("target_logits",)

    def value(self, facts: Facts) -> float:
        """||P||_* / m."""
        return float(np.linalg.norm(softmax(facts.target_logits), "nuc") / len(facts.target_logits))
