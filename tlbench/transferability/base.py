"""What every transferability score derives from."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar

from tlbench.errors import TlbenchError
from tlbench.transferability.inputs import Inputs


@dataclass(frozen=True)
class TransferabilityScore(ABC):
    """A number of one candidate, a pre-trained model or a source, for one target; higher predicts better transfer.

    A subclass is a frozen dataclass whose fields are its options.
    """

    reads: ClassVar[tuple[str, ...]]
    """The arrays that the score reads; the others never reach it."""

    def required(self) -> tuple[str, ...]:
        """The arrays that the score reads with its options."""
        return self.reads

    @abstractmethod
    def value(self, inputs: Inputs) -> float:
        """The number of a candidate. The arrays that are read are checked NumPy arrays, all others are None."""

    def require(self, valid: bool, option: str, rule: str) -> None:
        """Raise TlbenchError where an option is not valid; the rule says what it is, as in "1 or more"."""
        if not valid:
            raise TlbenchError(f"Option {option} is {getattr(self, option)!r}. It is {rule}.")
