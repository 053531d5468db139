"""JDOT: alternate between a plan that transports samples with their labels and the predictor that makes this cheapest.

Courty, Flamary, Habrard and Rakotomamonjy, Joint distribution optimal transportation for domain adaptation, NIPS 2017.
https://arxiv.org/abs/1705.08848
"""

from __future__ import annotations

from typing import Literal

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor

from tlbench.methods import shallow
from tlbench.methods.base import Predictor, ShallowMethod
from tlbench.solvers import optimal_transport
from tlbench.terms import Task


class JDOT(ShallowMethod):
    """min over plan G and f of sum_ij G_ij ((1 - balance) |x_i - x_j|^2 / mean + balance loss(y_i, f(x_j))), alternating.

    The loss is the cross-entropy of logistic regression, or the squared error of ridge (of columns of +1 and -1 for classes).
    The paper sets the balance by the largest distance; here distances have mean 1 and both terms weigh the same.
    """

    reads = frozenset({"source", "target"})
    tasks = shallow.BOTH_TASKS
    balance: float = Field(0.5, ge=0, le=1, description="weight of the loss beside the distance of the samples")
    rounds: int = Field(20, ge=1, description="rounds of plan and predictor, fewer once the cost changes by less than 1e-5")
    block: int = Field(3000, ge=2, description="more samples than this of a domain: solved in random blocks of this size")
    learner: Literal["logistic", "ridge"] = Field("logistic", description="the predictor; ridge for a regression")
    c: float = Field(1.0, gt=0, description="inverse penalty of the predictor")

    def fit(self, task: Task) -> Predictor:
        """An exact plan on the CPU and a fit on the target samples in each round, in float64."""
        source, target = shallow.source_samples(self, task), shallow.target_samples(task)
        shallow.note_blocks(self, len(source), len(target), self.block)
        squared = task.regression or self.learner == "ridge"
        onehot = F.one_hot(source.y, task.classes).double() if not task.regression else source.y.double()
        columns = 2 * onehot - 1 if squared and not task.regression else onehot
        outputs: Tensor | None = None
        total, previous = 0.0, torch.inf

        def plan(cost: Tensor, of_source: Tensor, of_target: Tensor) -> Tensor:
            nonlocal total
            joint_cost = cost
            if outputs is not None:
                joint_cost = (1 - self.balance) * cost + self.balance * loss(of_source, outputs[of_target])
            block_plan = optimal_transport.exact_plan(joint_cost)
            total += float((block_plan * joint_cost).sum())
            return block_plan

        def loss(of_source: Tensor, scores_MC: Tensor) -> Tensor:
            if squared:
                return torch.cdist(columns[of_source], scores_MC, compute_mode="donot_use_mm_for_euclid_dist").square()
            return -columns[of_source] @ scores_MC.log_softmax(dim=1).clamp_min(-30).T

        for _ in range(self.rounds + 1):  # the first plan is without a predictor
            previous, total = total if outputs is not None else torch.inf, 0.0
            labels = optimal_transport.propagate_labels(source.x, columns, target, plan, self.block, "mean")
            if outputs is not None and abs(previous - total) <= 1e-5 * abs(total):
                break
            scores = shallow.fit_soft_labels(self, target, labels, regression=squared)
            outputs = scores(target)
        else:
            self.note(f"The plan and the predictor have not converged after {self.rounds} rounds.")
        return lambda x: scores(x.flatten(1))
