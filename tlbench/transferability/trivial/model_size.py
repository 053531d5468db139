"""Model size: the largest model, whatever the target."""

from __future__ import annotations

from dataclasses import dataclass

from tlbench.transferability.base import TransferabilityScore
from tlbench.transferability.inputs import Inputs


@dataclass(frozen=True)
class ModelSize(TransferabilityScore):
    """The number of parameters."""

    reads = ("parameters",)

    def value(self, inputs: Inputs) -> float:
        """The number itself."""
        return float(inputs.parameters)
