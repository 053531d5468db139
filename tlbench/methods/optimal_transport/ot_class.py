"""Class-regularised optimal transport: each target sample receives its mass from few classes of the source.

Courty, Flamary, Tuia and Rakotomamonjy, Optimal transport for domain adaptation, IEEE TPAMI 2017, section 4.
https://arxiv.org/abs/1507.00504
"""

from __future__ import annotations

import torch.nn.functional as F
from pydantic import Field
from torch import Tensor

from tlbench.methods import shallow
from tlbench.methods.base import Predictor, ShallowMethod
from tlbench.solvers import optimal_transport
from tlbench.terms import Task


class OTClass(ShallowMethod):
    """As entropic transport, + group sum_j sum_c |G_{I_c j}|_1^(1/2), I_c the source samples of class c (Lp-L1, p = 1/2).

    The paper takes the weights that score best; here they are the suite's, in units of the median cost.
    """

    reads = frozenset({"source", "target"})
    version = 2
    entropy: float = Field(0.05, gt=0, description="weight of the entropy, in units of the cost")
    group: float = Field(0.1, ge=0, description="weight of the class term, in the same units")
    unit: optimal_transport.CostUnit = Field("median", description="what squared distances are divided by, in each block")
    outer: int = Field(1000, ge=1, description="majorisation steps, at most")
    iterations: int = Field(200, ge=1, description="Sinkhorn iterations within each, at most")
    block: int = Field(4000, ge=2, description="more samples than this of a domain: solved in random blocks of this size")
    learner: shallow.Learner = Field("auto", description="fitted on the transported source samples")
    c: float = Field(1.0, gt=0, description="inverse penalty of the learner, where it has one")

    def fit(self, task: Task) -> Predictor:
        """The plan is solved in float64, on the device."""
        source, target = shallow.source_samples(self, task), shallow.target_samples(task)
        shallow.note_blocks(self, len(source), len(target), self.block)
        onehot = F.one_hot(source.y, task.classes)

        def plan(cost: Tensor, of_source: Tensor, of_target: Tensor) -> Tensor:
            block_plan, moved, met = optimal_transport.group_lasso_plan(
                cost, onehot[of_source], self.entropy, self.group, outer=self.outer, iterations=self.iterations
            )
            if not met:
                shallow.note_unmet_marginals(self, self.iterations)
            if moved > optimal_transport.PLAN_TOLERANCE:
                self.note(
                    f"The plan stopped after {self.outer} majorisation steps, the last of which moved {moved:.1g} of the mass, "
                    f"above the tolerance {optimal_transport.PLAN_TOLERANCE:.0g}."
                )
            return block_plan

        transported = optimal_transport.transport_samples(source.x, target, plan, self.block, self.unit)
        scores = shallow.fit_learner(self, transported, source.y, task)
        return lambda x: scores(x.flatten(1))
