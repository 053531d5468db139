"""EasyTL: each target sample takes the nearest class mean of the source, and every class gets one sample at least.

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
from tlbench.solvers import nearest_neighbors, subspaces
from tlbench.terms import Task


class EasyTL(ShallowMethod):
    """min sum_cj d_cj m_cj over shares m: those of a sample sum to 1, those of a class to 1 at least; d: distance to the mean.

    The optimum of this linear programme is the nearest mean for all samples but one of each class, and these are a least-cost
    assignment on the cost of leaving the nearest mean. The decisions are for the granted target samples; any other sample
    takes that of its nearest one. There is nothing to tune. `align = "none"` is the paper's EasyTL(c).
    """

    reads = frozenset({"source", "target"})
    align: Literal["coral", "none"] = Field("coral", description="CORAL on the source samples first (covariances + I)")

    def fit(self, task: Task) -> Predictor:
        """Distances to C means in float64, and an assignment of C classes to the target samples on the CPU."""
        source, target = shallow.source_samples(self, task), shallow.target_samples(task)
        x = subspaces.coral(source.x, target, 1.0) if self.align == "coral" else source.x
        present = source.y.unique()
        means = torch.stack([x[source.y == c].mean(dim=0) for c in present])
        distance_MC = target.new_full((len(target), task.classes), torch.inf)
        distance_MC[:, present] = torch.cdist(target, means, compute_mode="donot_use_mm_for_euclid_dist")
        scores = nearest_neighbors.fit_nearest_sample(target, -self.assigned_distances(distance_MC, present))
        return lambda x: scores(x.flatten(1))

    def assigned_distances(self, distance_MC: Tensor, present: Tensor) -> Tensor:
        """Distances (M, C) in which the assigned class of a sample is the nearest: the two classes swap their distances."""
        from scipy.optimize import linear_sum_assignment

        if len(distance_MC) < len(present):
            self.note(f"{len(distance_MC)} target samples are fewer than {len(present)} classes: each takes the nearest mean.")
            return distance_MC
        nearest, best = distance_MC.min(dim=1)
        gaps = (distance_MC[:, present] - nearest[:, None]).T
        classes, samples = (torch.as_tensor(indices).to(present) for indices in linear_sum_assignment(gaps.cpu().numpy()))
        assigned = best.clone()
        assigned[samples] = present[classes]
        swapped = distance_MC.clone()
        swapped.scatter_(1, best[:, None], distance_MC.gather(1, assigned[:, None]))
        return swapped.scatter_(1, assigned[:, None], nearest[:, None])
