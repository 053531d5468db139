"""Optimal transport mapping: source rows move to where the cheapest plan sends them, then a plain learner.

Courty, Flamary, Tuia and Rakotomamonjy, Optimal transport for domain adaptation, IEEE PAMI 2017.
https://arxiv.org/abs/1507.00504
"""

from __future__ import annotations

from pydantic import Field

from tlbench.methods import shallow
from tlbench.methods.base import Predictor, ShallowMethod
from tlbench.solvers import optimal_transport
from tlbench.terms import Task


class OtExact(ShallowMethod):
    """min sum_ij G_ij |x_i - x_j|^2 with uniform margins; source row i moves to the mean of its target rows, by G_i."""

    reads = frozenset({"source", "target"})
    tasks = shallow.BOTH_TASKS
    block: int = Field(3000, ge=2, description="more rows than this of a domain: solved in random blocks of so many of each")
    learner: shallow.Learner = Field("auto", description="trained on the moved source rows")
    c: float = Field(1.0, gt=0, description="inverse penalty of the learner, where it has one")

    def fit(self, task: Task) -> Predictor:
        """In float64; the plan on the CPU, about N^3 log N for blocks of N rows."""
        source, target = shallow.source_samples(self, task), shallow.target_samples(task)
        shallow.note_blocks(self, len(source), len(target), self.block)
        moved = optimal_transport.transport(
            source.x, target, lambda cost, *_: optimal_transport.exact_plan(cost), self.block, "none"
        )
        scores = shallow.fit_learner(self, moved, source.y, task)
        return lambda x: scores(x.flatten(1))
