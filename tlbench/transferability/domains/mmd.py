"""MMD: the squared maximum mean discrepancy of source and target features.

Gretton, Borgwardt, Rasch, Schoelkopf and Smola, A kernel two-sample test, JMLR 2012.
https://jmlr.org/papers/v13/gretton12a.html
"""

from __future__ import annotations

from dataclasses import dataclass

from tlbench.data import divergence
from tlbench.errors import TlbenchError
from tlbench.transferability.domains._sides import DomainScore
from tlbench.transferability.inputs import Inputs


@dataclass(frozen=True)
class MMD(DomainScore):
    """Minus the unbiased estimate, with a Gaussian kernel of median width."""

    reads = ("source_features", "target_features")

    def value(self, inputs: Inputs) -> float:
        """From -2; about 0 for two samples of one distribution."""
        source, target = self.sides(inputs)
        if len(source) < 2:
            raise TlbenchError("MMD compares pairs of samples, and a side has one sample. Pass two or more of each.")
        return -divergence.mmd2(source, target)
