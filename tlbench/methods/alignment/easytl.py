"""EasyTL: each target row to the nearest class mean of the source, with a row at least for every class; nothing to tune.

Wang, Chen, Yu, Huang and Yang, Easy transfer learning by exploiting intra-domain structures, ICME 2019.
https://arxiv.org/abs/1904.01376
"""

from __future__ import annotations

from typing import Literal

import torch
from pydantic import Field
from torch import Tensor

from tlbench.methods import shallow
from tlbench.methods.base import Predictor, ShallowMethod
from tlbench.solvers import subspaces, transductive
from tlbench.terms import Task


class Easytl(ShallowMethod):
    """min sum_cj d_cj m_cj over shares m: each row's sum to 1, each class gets 1 at least, d the distance to the class mean.

    The optimum of this linear programme is the nearest mean for all rows but one of each class, and these are a least-cost
    assignment on what leaving the nearest mean costs. The decisions are for the granted rows; another row takes that of its
    nearest one. `align = "none"` is the paper's EasyTL(c).
    """

    reads = frozenset({"source", "target"})
    align: Literal["coral", "none"] = Field("coral", description="CORAL on the source rows first (covariances + I)")

    def fit(self, task: Task) -> Predictor:
        """In float64; distances to C means, and an assignment of C classes to the target rows on the CPU."""
        source, target = shallow.source_samples(self, task), shallow.target_samples(task)
        x = subspaces.coral(source.x, target, 1.0) if self.align == "coral" else source.x
        there = source.y.unique()
        means = torch.stack([x[source.y == c].mean(dim=0) for c in there])
        distance_MC = target.new_full((len(target), task.classes), torch.inf)
        distance_MC[:, there] = torch.cdist(target, means, compute_mode="donot_use_mm_for_euclid_dist")
        scores = transductive.nearest_decision(target, -self.given(distance_MC, there))
        return lambda x: scores(x.flatten(1))

    def given(self, distance_MC: Tensor, there: Tensor) -> Tensor:
        """Distances in which the class that a row is given comes first: it trades places with the nearest one."""
        from scipy.optimize import linear_sum_assignment

        if len(distance_MC) < len(there):
            self.note(f"{len(distance_MC)} target rows for {len(there)} classes: nearest class means")
            return distance_MC
        nearest, best = distance_MC.min(dim=1)
        gaps = (distance_MC[:, there] - nearest[:, None]).T
        order, rows = (torch.as_tensor(found).to(there) for found in linear_sum_assignment(gaps.cpu().numpy()))
        given = best.clone()
        given[rows] = there[order]
        traded = distance_MC.clone()
        traded.scatter_(1, best[:, None], distance_MC.gather(1, given[:, None]))
        return traded.scatter_(1, given[:, None], nearest[:, None])
