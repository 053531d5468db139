"""CORAL: colour the source rows with the target's covariance, then train a plain learner on them.

Sun, Feng and Saenko, Return of frustratingly easy domain adaptation, AAAI 2016. https://arxiv.org/abs/1511.05547
"""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from tlbench.errors import TlbenchError
from tlbench.methods import shallow
from tlbench.methods.base import Predictor, ShallowMethod
from tlbench.solvers import base_learners, subspaces
from tlbench.terms import Task


class CoralMap(ShallowMethod):
    """x_s <- x_s A with A = C_s^(-1/2) C_t^(1/2), C = cov + ridge I (divided by N - 1); nothing is centred, as in the paper.

    `form = "kernel"` is what gives the paper's printed figures, and what its authors' code does: the similarities x A x', which
    are not symmetric, given to the support vector machine as its kernel in place of the mapped rows.
    """

    reads = frozenset({"source", "target"})
    tasks = shallow.BOTH_TASKS
    ridge: float = Field(1.0, gt=0, description="added to both covariances; 1 presumes z-scored columns")
    learner: shallow.Learner = Field("svm", description="trained on the mapped source rows")
    c: float = Field(1.0, gt=0, description="inverse penalty of the learner, where it has one")
    form: Literal["map", "kernel"] = Field("map", description="mapped rows, or (svm only) the similarity x A x' as the kernel")

    def fit(self, task: Task) -> Predictor:
        """In float64: one eigenproblem for each domain, of its columns or of its rows, whichever are fewer."""
        source, target = shallow.source_samples(self, task), shallow.target_samples(task)
        if self.form == "kernel":
            if self.learner != "svm" or task.regression:
                raise TlbenchError("coral_map: form = 'kernel' needs learner = 'svm' and classes; others take form = 'map'")
            back = subspaces.coral(source.x, target, self.ridge)
            fitted = base_learners.svm(back @ source.x.T, source.y, task.classes, c=self.c, kernel="precomputed")
            return lambda x: fitted(x.flatten(1).double() @ back.T)
        mapped = subspaces.coral(source.x, target, self.ridge)
        scores = shallow.fit_learner(self, mapped, source.y, task)
        return lambda x: scores(x.flatten(1))
