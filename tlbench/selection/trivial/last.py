"""Last: the checkpoint of the last step, as without any selection."""

from __future__ import annotations

from dataclasses import dataclass

from tlbench.selection.base import Rule
from tlbench.selection.facts import Facts


@dataclass(frozen=True)
class Last(Rule):
    """The step."""

    reads = ("step",)

    def value(self, facts: Facts) -> float:
        """The step of the checkpoint."""
        return float(facts.step)
