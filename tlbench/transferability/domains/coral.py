"""CORAL: the squared distance of the covariances of source and target features.

Sun and Saenko, Deep CORAL: correlation alignment for deep domain adaptation, ECCV workshops 2016.
https://arxiv.org/abs/1607.01719
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tlbench.errors import TlbenchError
from tlbench.transferability.domains._sides import DomainScore
from tlbench.transferability.inputs import Inputs


@dataclass(frozen=True)
class CORAL(DomainScore):
    """-|cov(source) - cov(target)|^2 / (4 D^2), in the Frobenius norm."""

    reads = ("source_features", "target_features")

    def value(self, inputs: Inputs) -> float:
        """At most 0; means are not compared."""
        sides = self.sides(inputs)
        if len(sides[0]) < 2:
            raise TlbenchError("CORAL compares covariances, and a side has one sample. Pass two or more of each.")
        source, target = (np.atleast_2d(np.cov(side, rowvar=False)) for side in sides)
        return -float(np.square(source - target).sum() / (4 * len(source) ** 2))
