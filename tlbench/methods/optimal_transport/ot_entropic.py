"""Entropic optimal transport mapping: a blurred plan, quick and on any device, moves the source rows; then a plain learner.

Courty, Flamary, Tuia and Rakotomamonjy, Optimal transport for domain adaptation, IEEE PAMI 2017; Cuturi, Sinkhorn distances,
NIPS 2013. https://arxiv.org/abs/1507.00504
"""

from __future__ import annotations

from pydantic import Field
from torch import Tensor

from tlbench.methods import shallow
from tlbench.methods.base import Predictor, ShallowMethod
from tlbench.solvers import optimal_transport
from tlbench.terms import Task


class OtEntropic(ShallowMethod):
    """min sum G_ij M_ij + entropy sum G (log G - 1), M the squared distances over their median: the weight then has no unit.

    The paper takes the weight that scores best; 0.05 here is blurred enough to converge. The larger it is, the nearer every
    row moves to the target's mean.
    """

    reads = frozenset({"source", "target"})
    tasks = shallow.BOTH_TASKS
    entropy: float = Field(0.05, gt=0, description="weight of the entropy, in units of the cost")
    unit: optimal_transport.Unit = Field("median", description="what squared distances are divided by, in each block")
    iterations: int = Field(1000, ge=1, description="Sinkhorn's steps at most")
    block: int = Field(4000, ge=2, description="more rows than this of a domain: solved in random blocks of so many of each")
    learner: shallow.Learner = Field("auto", description="trained on the moved source rows")
    c: float = Field(1.0, gt=0, description="inverse penalty of the learner, where it has one")

    def fit(self, task: Task) -> Predictor:
        """In float64, on the device: N M a step for blocks of N and M rows."""
        source, target = shallow.source_samples(self, task), shallow.target_samples(task)
        shallow.note_blocks(self, len(source), len(target), self.block)
        moved = optimal_transport.transport(source.x, target, self.plan, self.block, self.unit)
        scores = shallow.fit_learner(self, moved, source.y, task)
        return lambda x: scores(x.flatten(1))

    def plan(self, cost: Tensor, of_source: Tensor, of_target: Tensor) -> Tensor:
        """The plan of a block; the record is told where it has not converged."""
        plan, converged = optimal_transport.sinkhorn_plan(cost, self.entropy, self.iterations)
        if not converged:
            self.note(f"the plan's margins are not met to 1e-8 after {self.iterations} iterations")
        return plan
