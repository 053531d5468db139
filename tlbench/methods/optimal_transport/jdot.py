"""JDOT: transport rows with their labels, and learn the predictor that makes this cheapest, in turn.

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


class Jdot(ShallowMethod):
    """min over plan G and f of sum_ij G_ij ((1 - balance) |x_i - x_j|^2 / mean + balance loss(y_i, f(x_j))), in turn.

    The loss is the cross-entropy of logistic regression, or the squared error of ridge (of columns of +1 and -1 for classes).
    The paper sets the balance by the largest distance; here distances have mean 1 and the halves are equal.
    """

    reads = frozenset({"source", "target"})
    tasks = shallow.BOTH_TASKS
    balance: float = Field(0.5, ge=0, le=1, description="weight of the loss beside the distance of the rows")
    rounds: int = Field(20, ge=1, description="rounds of plan and predictor, fewer once the cost stands still to 1e-5")
    block: int = Field(3000, ge=2, description="more rows than this of a domain: solved in random blocks of so many of each")
    learner: Literal["logistic", "ridge"] = Field("logistic", description="the predictor; ridge for a regression")
    c: float = Field(1.0, gt=0, description="inverse penalty of the predictor")

    def fit(self, task: Task) -> Predictor:
        """In float64: an exact plan on the CPU and a fit on the target rows each round."""
        source, target = shallow.source_samples(self, task), shallow.target_samples(task)
        shallow.note_blocks(self, len(source), len(target), self.block)
        squared = task.regression or self.learner == "ridge"
        onehot = F.one_hot(source.y, task.classes).double() if not task.regression else source.y.double()
        columns = 2 * onehot - 1 if squared and not task.regression else onehot
        said, total, before = None, 0.0, torch.inf

        def plan(cost: Tensor, of_source: Tensor, of_target: Tensor) -> Tensor:
            nonlocal total
            full = cost if said is None else (1 - self.balance) * cost + self.balance * loss(of_source, said[of_target])
            found = optimal_transport.exact_plan(full)
            total += float((found * full).sum())
            return found

        def loss(of_source: Tensor, outputs: Tensor) -> Tensor:
            if squared:
                return torch.cdist(columns[of_source], outputs, compute_mode="donot_use_mm_for_euclid_dist").square()
            return -columns[of_source] @ outputs.log_softmax(dim=1).clamp_min(-30).T

        for _ in range(self.rounds + 1):  # the first plan knows the rows only
            before, total = total if said is not None else torch.inf, 0.0
            came = optimal_transport.carry_labels(source.x, columns, target, plan, self.block, "mean")
            if said is not None and abs(before - total) <= 1e-5 * abs(total):
                break
            scores = shallow.fit_soft(self.learner, target, came, c=self.c, regression=squared)
            said = scores(target)
        else:
            self.note(f"plan and predictor were still moving after {self.rounds} rounds")
        return lambda x: scores(x.flatten(1))
