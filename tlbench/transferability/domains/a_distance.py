"""A-distance: how well a linear classifier tells source from target, with as many samples of each.

Ben-David, Blitzer, Crammer, Kulesza, Pereira and Vaughan, A theory of learning from different domains, Machine Learning 2010.
https://doi.org/10.1007/s10994-009-5152-4

With four times as many samples on one side, two samples of one distribution would be 1.2 apart by the usual formula.
"""

from __future__ import annotations

from dataclasses import dataclass

from tlbench.data import divergence
from tlbench.transferability.domains._sides import DomainScore
from tlbench.transferability.inputs import Inputs


@dataclass(frozen=True)
class ADistance(DomainScore):
    """-2 (1 - 2 error), the error of a logistic regression in 5-fold cross-validation."""

    reads = ("source_features", "target_features")

    def value(self, inputs: Inputs) -> float:
        """From -2 to 0."""
        return -divergence.a_distance(*self.sides(inputs))
