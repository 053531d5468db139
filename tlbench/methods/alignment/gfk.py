"""Geodesic flow kernel: compare samples in all subspaces between the source's and the target's.

Gong, Shi, Sha and Grauman, Geodesic flow kernel for unsupervised domain adaptation, CVPR 2012.
https://doi.org/10.1109/CVPR.2012.6247911
"""

from __future__ import annotations

import torch
from pydantic import Field

from tlbench.methods import shallow
from tlbench.methods.base import Predictor, ShallowMethod
from tlbench.solvers import subspaces
from tlbench.terms import Task


class GFK(ShallowMethod):
    """Samples mapped by a square root of G, the integral over the geodesic; 2 K columns, and G is never formed.

    The dimension is the paper's own choice, the subspace disagreement measure, unless the suite sets one.
    """

    reads = frozenset({"source", "target"})
    tasks = shallow.BOTH_TASKS
    components: int | None = Field(None, ge=1, description="dimension of both subspaces; null: subspace disagreement measure")
    learner: shallow.Learner = Field("auto", description="fitted on the mapped source samples")
    c: float = Field(1.0, gt=0, description="inverse penalty of the learner, where it has one")

    def fit(self, task: Task) -> Predictor:
        """One eigenproblem for each domain in float64. Principal directions are of centred samples, the mapped ones are not."""
        source, target = shallow.source_samples(self, task), shallow.target_samples(task)
        bases = [subspaces.principal_directions(x, self.components) for x in (source.x, target)]
        available = min(*(basis.shape[1] for basis in bases), max(source.x.shape[1] // 2, 1))
        if self.components is None:
            pooled = subspaces.principal_directions(torch.cat([source.x, target]), available)
            count = subspaces.disagreement_dimension(bases[0], bases[1], pooled, available)
            self.note(f"{count} components are chosen by the subspace disagreement measure.")
        else:
            count = shallow.limit_components(self, self.components, available)
        root = subspaces.geodesic_flow_root(*(basis[:, :count] for basis in bases))
        scores = shallow.fit_learner(self, source.x @ root, source.y, task)
        return lambda x: scores(x.flatten(1).double() @ root)
