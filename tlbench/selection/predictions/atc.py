"""Average thresholded confidence: the share of target samples above a confidence that is fitted on the source.

Garg et al., Leveraging unlabeled data to predict out-of-distribution performance, ICLR 2022. https://arxiv.org/abs/2201.04234

The threshold leaves as many held-out source samples below it as are wrong; the number is an estimate of the accuracy. It is a
confidence, and favours collapse. The authors' loop takes the sample before ours as threshold, so that one fewer is below it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from tlbench.selection.base import Rule
from tlbench.selection.facts import Array, Facts
from tlbench.selection.probabilities import entropies, one_of, softmax


@dataclass(frozen=True)
class ATC(Rule):
    """The share of target samples whose score reaches the source threshold."""

    reads = ("source_logits", "source_labels", "target_logits")
    confidence: Literal["probability", "entropy"] = "probability"
    """The score of a sample: its largest class probability, or minus its entropy."""

    def value(self, facts: Facts) -> float:
        """mean [score >= t]."""
        errors = int((facts.source_logits.argmax(1) != facts.source_labels).sum())
        source, target = self._scores(facts.source_logits), self._scores(facts.target_logits)
        if errors == len(source):
            return 0.0  # all are below the threshold
        return float((target >= np.sort(source)[errors]).mean())

    def _scores(self, logits: Array) -> Array:
        if one_of("confidence", self.confidence, ("probability", "entropy")) == "entropy":
            return -entropies(logits)
        return softmax(logits).max(1)
