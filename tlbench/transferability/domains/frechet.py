"""Frechet distance: of two Gaussians fitted to source and target features, squared.

Dowson and Landau, The Frechet distance between multivariate normal distributions, Journal of Multivariate Analysis 1982.
https://doi.org/10.1016/0047-259X(82)90077-X
"""

from __future__ import annotations

from dataclasses import dataclass

from tlbench.data import divergence
from tlbench.errors import TlbenchError
from tlbench.transferability.domains._sides import DomainScore
from tlbench.transferability.inputs import Inputs


@dataclass(frozen=True)
class Frechet(DomainScore):
    """-|mean difference|^2 - tr(A + B - 2 (A B)^(1/2)), with the covariances A and B."""

    reads = ("source_features", "target_features")

    def value(self, inputs: Inputs) -> float:
        """At most 0, but for rounding."""
        sides = self.sides(inputs)
        if len(sides[0]) < 2:
            raise TlbenchError(
                "The Frechet distance compares covariances, and a side has one sample. Pass two or more of each."
            )
        return -divergence.frechet(*sides)
