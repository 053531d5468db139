"""What every selection rule derives from."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar

from tlbench.selection.facts import Facts


@dataclass(frozen=True)
class Rule(ABC):
    """A number of one checkpoint by which a checkpoint or configuration is selected; higher is better.

    A subclass is a frozen dataclass whose fields are its options.
    """

    reads: ClassVar[tuple[str, ...]]
    """The facts that the rule reads; the others never reach it."""

    def required(self) -> tuple[str, ...]:
        """The facts that the rule reads with its options."""
        return self.reads

    @abstractmethod
    def value(self, facts: Facts) -> float:
        """The number of a checkpoint. The facts that are read are checked NumPy arrays, all others are None."""
