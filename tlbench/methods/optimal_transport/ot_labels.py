"""Label propagation by optimal transport: labels instead of samples go along the plan; the learner is fitted on the target.

Solomon, Rustamov, Guibas and Butscher, Wasserstein propagation for semi-supervised learning, ICML 2014.
https://proceedings.mlr.press/v32/solomon14.html
For adaptation: Redko, Courty, Flamary and Tuia, Optimal transport for multi-source domain adaptation under target shift,
AISTATS 2019. https://arxiv.org/abs/1803.04899
"""

from __future__ import annotations

import torch.nn.functional as F
from pydantic import Field
from torch import Tensor

from tlbench.methods import shallow
from tlbench.methods.base import Predictor, ShallowMethod
from tlbench.solvers import optimal_transport
from tlbench.terms import Task


class OTLabels(ShallowMethod):
    """Target sample j gets the mean of the source's labels, weighted by G_ij; soft labels enter the learner as weights.

    The class shares of the target come out as the source's: where they differ, the labels are wrong by as much.
    """

    reads = frozenset({"source", "target"})
    tasks = shallow.BOTH_TASKS
    version = 2
    entropy: float = Field(0.0, ge=0, description="0: the exact plan; else the entropy's weight, in units of the median cost")
    iterations: int = Field(1000, ge=1, description="Sinkhorn iterations, at most, before Newton steps")
    block: int = Field(3000, ge=2, description="more samples than this of a domain: solved in random blocks of this size")
    learner: shallow.Learner = Field("logistic", description="fitted on the target samples with the propagated labels")
    c: float = Field(1.0, gt=0, description="inverse penalty of the learner, where it has one")

    def fit(self, task: Task) -> Predictor:
        """The plan is solved in float64; an exact one on the CPU."""
        source, target = shallow.source_samples(self, task), shallow.target_samples(task)
        shallow.note_blocks(self, len(source), len(target), self.block)
        columns = source.y.double() if task.regression else F.one_hot(source.y, task.classes).double()
        labels = optimal_transport.propagate_labels(source.x, columns, target, self.plan, self.block, "median")
        scores = shallow.fit_soft_labels(self, target, labels, regression=task.regression)
        return lambda x: scores(x.flatten(1))

    def plan(self, cost: Tensor, of_source: Tensor, of_target: Tensor) -> Tensor:
        """The plan of a block; the record gets a note where it has not converged."""
        if not self.entropy:
            return optimal_transport.exact_plan(cost)
        plan, converged = optimal_transport.sinkhorn_plan(cost, self.entropy, self.iterations)
        if not converged:
            shallow.note_unmet_marginals(self, self.iterations)
        return plan
