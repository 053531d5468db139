"""Mean on other targets: the candidate that was the best elsewhere, whatever the target."""

from __future__ import annotations

from dataclasses import dataclass

from tlbench.transferability.base import TransferabilityScore
from tlbench.transferability.inputs import Inputs


@dataclass(frozen=True)
class MeanOnOthers(TransferabilityScore):
    """The mean of what the candidate has reached on other targets."""

    reads = ("other_accuracies",)

    def value(self, inputs: Inputs) -> float:
        """The mean."""
        return float(inputs.other_accuracies.mean())
