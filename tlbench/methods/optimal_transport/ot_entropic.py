"""Entropic optimal transport: a smoothed plan, fast and on any device, moves the source samples; then a learner is fitted.

Courty, Flamary, Tuia and Rakotomamonjy, Optimal transport for domain adaptation, IEEE TPAMI 2017.
https://arxiv.org/abs/1507.00504
Cuturi, Sinkhorn distances, NIPS 2013. https://arxiv.org/abs/1306.0895
"""

from __future__ import annotations

from pydantic import Field
from torch import Tensor

from tlbench.methods import shallow
from tlbench.methods.base import Predictor, ShallowMethod
from tlbench.solvers import optimal_transport
from tlbench.terms import Task


class OTEntropic(ShallowMethod):
    """min sum G_ij M_ij + entropy sum G (log G - 1), M the squared distances over their median, so that the weight is unitless.

    The paper takes the weight that scores best; 0.05 here is smooth enough to converge. The larger it is, the nearer every
    sample moves to the target's mean.
    """

    reads = frozenset({"source", "target"})
    tasks = shallow.BOTH_TASKS
    version = 2
    entropy: float = Field(0.05, gt=0, description="weight of the entropy, in units of the cost")
    unit: optimal_transport.CostUnit = Field("median", description="what squared distances are divided by, in each block")
    iterations: int = Field(1000, ge=1, description="Sinkhorn iterations, at most, before Newton steps")
    block: int = Field(4000, ge=2, description="more samples than this of a domain: solved in random blocks of this size")
    learner: shallow.Learner = Field("auto", description="fitted on the transported source samples")
    c: float = Field(1.0, gt=0, description="inverse penalty of the learner, where it has one")

    def fit(self, task: Task) -> Predictor:
        """The plan is solved in float64 on the device: N M operations an iteration for blocks of N and M samples."""
        source, target = shallow.source_samples(self, task), shallow.target_samples(task)
        shallow.note_blocks(self, len(source), len(target), self.block)
        transported = optimal_transport.transport_samples(source.x, target, self.plan, self.block, self.unit)
        scores = shallow.fit_learner(self, transported, source.y, task)
        return lambda x: scores(x.flatten(1))

    def plan(self, cost: Tensor, of_source: Tensor, of_target: Tensor) -> Tensor:
        """The plan of a block; the record gets a note where it has not converged."""
        plan, converged = optimal_transport.sinkhorn_plan(cost, self.entropy, self.iterations)
        if not converged:
            shallow.note_unmet_marginals(self, self.iterations)
        return plan
