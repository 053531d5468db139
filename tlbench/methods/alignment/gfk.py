"""Geodesic flow kernel: compare rows in all subspaces between the source's and the target's.

Gong, Shi, Sha and Grauman, Geodesic flow kernel for unsupervised domain adaptation, CVPR 2012.
"""

from __future__ import annotations

import torch
from pydantic import Field

from tlbench.methods import shallow
from tlbench.methods.base import Predictor, ShallowMethod
from tlbench.solvers import subspaces
from tlbench.terms import Task


class Gfk(ShallowMethod):
    """Rows mapped by a square root of G, the integral of all subspaces on the geodesic; 2 K columns, and G is never formed.

    The dimension is the paper's own choice unless the suite gives one: the subspace disagreement measure.
    """

    reads = frozenset({"source", "target"})
    tasks = shallow.BOTH_TASKS
    components: int | None = Field(None, ge=1, description="dimension of both subspaces; null: subspace disagreement measure")
    learner: shallow.Learner = Field("auto", description="trained on the mapped source rows")
    c: float = Field(1.0, gt=0, description="inverse penalty of the learner, where it has one")

    def fit(self, task: Task) -> Predictor:
        """In float64: one eigenproblem for each domain. Principal directions are of centred rows, the mapped rows are not."""
        source, target = shallow.source_samples(self, task), shallow.target_samples(task)
        bases = [subspaces.principal(rows, self.components) for rows in (source.x, target)]
        there = min(*(basis.shape[1] for basis in bases), max(source.x.shape[1] // 2, 1))
        if self.components is None:
            pooled = subspaces.principal(torch.cat([source.x, target]), there)
            count = subspaces.agreeing_dimension(bases[0], bases[1], pooled, there)
            self.note(f"{count} components by the subspace disagreement measure")
        else:
            count = shallow.at_most(self, self.components, there)
        root = subspaces.geodesic_flow(*(basis[:, :count] for basis in bases))
        scores = shallow.fit_learner(self, source.x @ root, source.y, task)
        return lambda x: scores(x.flatten(1).double() @ root)
