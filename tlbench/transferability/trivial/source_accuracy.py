"""Source accuracy: the candidate that is the best where it was trained, whatever the target."""

from __future__ import annotations

from dataclasses import dataclass

from tlbench.transferability.base import TransferabilityScore
from tlbench.transferability.inputs import Inputs


@dataclass(frozen=True)
class SourceAccuracy(TransferabilityScore):
    """The accuracy on held-out samples of its own source."""

    reads = ("source_accuracy",)

    def value(self, inputs: Inputs) -> float:
        """The accuracy itself."""
        return float(inputs.source_accuracy)
