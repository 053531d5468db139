"""Step 0: the model before adaptation, what "do not adapt" selects."""

from __future__ import annotations

from dataclasses import dataclass

from tlbench.selection.base import Rule
from tlbench.selection.facts import Facts


@dataclass(frozen=True)
class StepZero(Rule):
    """Minus the step."""

    reads = ("step",)

    def value(self, facts: Facts) -> float:
        """Minus the step of the checkpoint."""
        return -float(facts.step)
