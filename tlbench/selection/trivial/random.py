"""Random: a checkpoint by chance, the reference that a rule must beat."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tlbench.selection.base import Rule
from tlbench.selection.facts import Facts


@dataclass(frozen=True)
class Random(Rule):
    """A number in [0, 1) that depends on the step and the seed alone."""

    reads = ("step", "seed")

    def value(self, facts: Facts) -> float:
        """A uniform random number."""
        return float(np.random.default_rng([int(facts.seed), int(facts.step)]).random())
