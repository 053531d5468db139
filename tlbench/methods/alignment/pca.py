"""PCA of both domains, then a learner: the reference that subspace methods are compared with.

Pearson, On lines and planes of closest fit to systems of points in space, Philosophical Magazine 1901.
https://doi.org/10.1080/14786440109462720
"""

from __future__ import annotations

import torch
from pydantic import Field

from tlbench.methods import shallow
from tlbench.methods.base import Predictor, ShallowMethod
from tlbench.solvers import subspaces
from tlbench.terms import Task


class PCA(ShallowMethod):
    """Centred samples on the principal directions of both domains; 100 of them as in the tables of Long et al. (ICCV 2013)."""

    reads = frozenset({"source", "target"})
    tasks = shallow.BOTH_TASKS
    components: int = Field(100, ge=1, description="principal directions")
    learner: shallow.Learner = Field("auto", description="fitted on the source's components")
    c: float = Field(1.0, gt=0, description="inverse penalty of the learner, where it has one")

    def fit(self, task: Task) -> Predictor:
        """One eigenproblem in float64, of the columns or of the samples, whichever are fewer."""
        source, target = shallow.source_samples(self, task), shallow.target_samples(task)
        pooled = torch.cat([source.x, target])
        mean, basis = pooled.mean(dim=0), subspaces.principal_directions(pooled, self.components)
        shallow.limit_components(self, self.components, basis.shape[1])
        features = (source.x - mean) @ basis
        scores = shallow.fit_learner(self, features, source.y, task)
        return lambda x: scores((x.flatten(1).double() - mean) @ basis)
