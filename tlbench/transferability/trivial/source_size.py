"""Source size: the source with the most samples, whatever the target."""

from __future__ import annotations

from dataclasses import dataclass

from tlbench.transferability.base import TransferabilityScore
from tlbench.transferability.inputs import Inputs


@dataclass(frozen=True)
class SourceSize(TransferabilityScore):
    """The number of source samples."""

    reads = ("source_labels",)

    def value(self, inputs: Inputs) -> float:
        """The number itself."""
        return float(len(inputs.source_labels))
