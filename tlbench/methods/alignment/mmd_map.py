"""Location-scale mapping by maximum mean discrepancy: each class of the source is stretched and moved onto the target.

Zhang, Schölkopf, Muandet and Wang, Domain adaptation under target and conditional shift, ICML 2013, section 4.
"""

from __future__ import annotations

import torch.nn.functional as F
from pydantic import Field

from tlbench.methods import shallow
from tlbench.methods.base import Predictor, ShallowMethod
from tlbench.solvers import location_scale
from tlbench.terms import Task


class MmdMap(ShallowMethod):
    """x -> (1 + G(y)) x + H(y), column by column, with G and H at a minimum of MMD^2 + penalty (|G|^2 + |H|^2), found from 0.

    For classes G and H are tables; for a regression they are smooth functions of y, in the leading directions of a Gaussian
    kernel on y. The kernel on x keeps its width during the fit. The problem is not convex: the record says where it went.
    The penalty is a free parameter, small here: MMD^2 lies between 0 and 2.
    """

    reads = frozenset({"source", "target"})
    tasks = shallow.BOTH_TASKS
    penalty: float = Field(1e-3, ge=0, description="weight of the mean squared change of the source rows' scale and place")
    gamma: float | None = Field(None, gt=0, description="exp(-gamma |x - y|^2); null: 1 / (2 median |x - y|^2)")
    iterations: int = Field(100, ge=1, description="L-BFGS steps at most")
    landmarks: int = Field(1000, ge=1, description="more rows than this of a domain: the kernel through so many (Nystrom)")
    learner: shallow.Learner = Field("logistic", description="trained on the mapped source rows")
    c: float = Field(1.0, gt=0, description="inverse penalty of the learner, where it has one")

    def fit(self, task: Task) -> Predictor:
        """In float64, by L-BFGS over 2 C D numbers."""
        source, target = shallow.source_samples(self, task), shallow.target_samples(task)
        smooth = location_scale.smoother(source.y) if task.regression else F.one_hot(source.y, task.classes).double()
        found = location_scale.map_source(
            source.x,
            target,
            smooth,
            gamma=self.gamma,
            penalty=self.penalty,
            iterations=self.iterations,
            landmarks=self.landmarks,
        )
        self.note(f"MMD^2 + penalty {found.begin:.3g} -> {found.end:.3g}{found.approximated}")
        scores = shallow.fit_learner(self, found.samples, source.y, task)
        return lambda x: scores(x.flatten(1))
