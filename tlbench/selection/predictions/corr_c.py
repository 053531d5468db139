"""Corr-C: the trace of the class correlation matrix of target predictions by its Frobenius norm.

Tu et al., Assessing model out-of-distribution generalization with softmax prediction probability baselines and a correlation
method, 2023. https://openreview.net/forum?id=1maXoEyeqx

The maximum, sqrt(C), is reached by certain and equally frequent classes, the minimum, 1, by a single class: higher is better
here. The code of EnsV prints the same number and calls its minimum best.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tlbench.selection.base import Rule
from tlbench.selection.facts import Facts
from tlbench.selection.probabilities import softmax


@dataclass(frozen=True)
class CorrC(Rule):
    """The trace of P'P by its Frobenius norm."""

    reads = ("target_logits",)

    def value(self, facts: Facts) -> float:
        """tr(P'P) / ||P'P||_F."""
        probabilities = softmax(facts.target_logits)
        correlation = probabilities.T @ probabilities
        return float(np.trace(correlation) / np.linalg.norm(correlation))
