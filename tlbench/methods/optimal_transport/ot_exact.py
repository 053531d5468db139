"""Optimal transport: the source samples move to where the cheapest plan sends them, then a learner is fitted.

Courty, Flamary, Tuia and Rakotomamonjy, Optimal transport for domain adaptation, IEEE TPAMI 2017.
https://arxiv.org/abs/1507.00504
"""

from __future__ import annotations

from pydantic import Field

from tlbench.methods import shallow
from tlbench.methods.base import Predictor, ShallowMethod
from tlbench.solvers import optimal_transport
from tlbench.terms import Task


class OTExact(ShallowMethod):
    """min sum_ij G_ij |x_i - x_j|^2 with uniform marginals; source sample i moves to the mean of target samples, by G_i."""

    reads = frozenset({"source", "target"})
    tasks = shallow.BOTH_TASKS
    block: int = Field(3000, ge=2, description="more samples than this of a domain: solved in random blocks of this size")
    learner: shallow.Learner = Field("auto", description="fitted on the transported source samples")
    c: float = Field(1.0, gt=0, description="inverse penalty of the learner, where it has one")

    def fit(self, task: Task) -> Predictor:
        """The plan is solved in float64 on the CPU, in about N^3 log N for blocks of N samples."""
        source, target = shallow.source_samples(self, task), shallow.target_samples(task)
        shallow.note_blocks(self, len(source), len(target), self.block)
        transported = optimal_transport.transport_samples(
            source.x, target, lambda cost, *_: optimal_transport.exact_plan(cost), self.block, "none"
        )
        scores = shallow.fit_learner(self, transported, source.y, task)
        return lambda x: scores(x.flatten(1))
