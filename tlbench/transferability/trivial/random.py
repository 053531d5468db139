"""Random: a candidate by chance."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tlbench.transferability.base import TransferabilityScore
from tlbench.transferability.inputs import Inputs


@dataclass(frozen=True)
class Random(TransferabilityScore):
    """A number in [0, 1) that depends on the seed alone."""

    reads = ("seed",)

    def value(self, inputs: Inputs) -> float:
        """A uniform random number."""
        return float(np.random.default_rng(int(inputs.seed)).random())
