"""Reverse validation: how well a model that learned the pseudo-labelled target predicts the source.

Bruzzone and Marconcini, Domain adaptation problems: a DASVM classification technique and a circular validation strategy, PAMI
2010. https://doi.org/10.1109/TPAMI.2009.57

The training of the reverse model is the caller's, and doubles the cost; a model that exchanges two classes and can be
reversed is rewarded. skada averages over classes, as here; pytorch-adapt's ReverseValidator leaves the measure to the caller.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from tlbench.selection.base import Rule
from tlbench.selection.facts import Facts
from tlbench.selection.probabilities import one_of


@dataclass(frozen=True)
class ReverseValidation(Rule):
    """The accuracy of the reverse model on held-out source samples."""

    reads = ("reverse_logits", "source_labels")
    average: Literal["classes", "samples"] = "classes"

    def value(self, facts: Facts) -> float:
        """The mean accuracy of the classes, or of the samples."""
        correct = facts.reverse_logits.argmax(1) == facts.source_labels
        if one_of("average", self.average, ("classes", "samples")) == "samples":
            return float(correct.mean())
        return float(np.mean([correct[facts.source_labels == label].mean() for label in np.unique(facts.source_labels)]))
