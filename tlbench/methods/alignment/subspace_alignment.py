"""Subspace alignment: rotate the source's principal directions onto the target's.

Fernando, Habrard, Sebban and Tuytelaars, Unsupervised visual domain adaptation using subspace alignment, ICCV 2013.
https://doi.org/10.1109/ICCV.2013.368
"""

from __future__ import annotations

from pydantic import Field

from tlbench.methods import shallow
from tlbench.methods.base import Predictor, ShallowMethod
from tlbench.solvers import subspaces
from tlbench.terms import Task


class SubspaceAlignment(ShallowMethod):
    """x_s -> x_s P_s P_s'P_t and x_t -> x_t P_t, each domain centred by its own mean, P its first K principal directions.

    K is a free parameter. The paper bounds it by a stability estimate and chooses it by cross-validation on the source; here it
    is the suite's, and 80 is the paper's for SURF words.
    """

    reads = frozenset({"source", "target"})
    tasks = shallow.BOTH_TASKS
    components: int = Field(80, ge=1, description="directions of each domain, K; fewer where a domain has fewer")
    learner: shallow.Learner = Field("auto", description="fitted on the aligned source samples")
    c: float = Field(1.0, gt=0, description="inverse penalty of the learner, where it has one")

    def fit(self, task: Task) -> Predictor:
        """One eigenproblem for each domain in float64."""
        source, target = shallow.source_samples(self, task), shallow.target_samples(task)
        bases = [subspaces.principal_directions(x, self.components) for x in (source.x, target)]
        count = shallow.limit_components(self, self.components, min(basis.shape[1] for basis in bases))
        source_basis, target_basis = (basis[:, :count] for basis in bases)
        mean = target.mean(dim=0)
        aligned = (source.x - source.x.mean(dim=0)) @ source_basis @ (source_basis.T @ target_basis)
        scores = shallow.fit_learner(self, aligned, source.y, task)
        return lambda x: scores((x.flatten(1).double() - mean) @ target_basis)
