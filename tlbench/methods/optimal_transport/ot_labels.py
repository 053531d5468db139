"""Label propagation by optimal transport: labels, not rows, go along the plan; then a plain learner on the target rows.

Solomon, Rustamov, Guibas and Butscher, Wasserstein propagation for semi-supervised learning, ICML 2014; for adaptation Redko,
Courty, Flamary and Tuia, Optimal transport for multi-source domain adaptation under target shift, AISTATS 2019.
"""

from __future__ import annotations

import torch.nn.functional as F
from pydantic import Field
from torch import Tensor

from tlbench.methods import shallow
from tlbench.methods.base import Predictor, ShallowMethod
from tlbench.solvers import optimal_transport
from tlbench.terms import Task


class OtLabels(ShallowMethod):
    """Target row j gets the labels of the rows sent to it, by G_ij over its column's sum; soft labels are learnt as weights.

    The classes' shares of the target come out as the source's: where they differ, the method is wrong by as much.
    """

    reads = frozenset({"source", "target"})
    tasks = shallow.BOTH_TASKS
    entropy: float = Field(0.0, ge=0, description="0: the exact plan; else the entropy's weight, in units of the median cost")
    iterations: int = Field(1000, ge=1, description="Sinkhorn's steps at most")
    block: int = Field(3000, ge=2, description="more rows than this of a domain: solved in random blocks of so many of each")
    learner: shallow.Learner = Field("logistic", description="trained on the target rows with the labels that came")
    c: float = Field(1.0, gt=0, description="inverse penalty of the learner, where it has one")

    def fit(self, task: Task) -> Predictor:
        """In float64; the exact plan on the CPU."""
        source, target = shallow.source_samples(self, task), shallow.target_samples(task)
        shallow.note_blocks(self, len(source), len(target), self.block)
        columns = source.y.double() if task.regression else F.one_hot(source.y, task.classes).double()
        came = optimal_transport.carry_labels(source.x, columns, target, self.plan, self.block, "median")
        scores = shallow.fit_soft(self.learner, target, came, c=self.c, regression=task.regression)
        return lambda x: scores(x.flatten(1))

    def plan(self, cost: Tensor, of_source: Tensor, of_target: Tensor) -> Tensor:
        """The plan of a block."""
        if not self.entropy:
            return optimal_transport.exact_plan(cost)
        plan, converged = optimal_transport.sinkhorn_plan(cost, self.entropy, self.iterations)
        if not converged:
            self.note(f"the plan's margins are not met to 1e-8 after {self.iterations} iterations")
        return plan
