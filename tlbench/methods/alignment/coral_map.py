"""CORAL: recolour the source samples with the target's covariance, then fit a learner on them.

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


class CORALMap(ShallowMethod):
    """x_s <- x_s A with A = C_s^(-1/2) C_t^(1/2), C = cov + ridge I (divided by N - 1); nothing is centred, as in the paper.

    `form = "kernel"` reproduces the paper's published results, as its authors' code does: the similarities x A x', which are
    not symmetric, are given to the SVM as its kernel in place of the mapped samples.
    """

    reads = frozenset({"source", "target"})
    tasks = shallow.BOTH_TASKS
    ridge: float = Field(1.0, gt=0, description="added to both covariances; 1 presumes z-scored columns")
    learner: shallow.Learner = Field("svm", description="fitted on the mapped source samples")
    c: float = Field(1.0, gt=0, description="inverse penalty of the learner, where it has one")
    form: Literal["map", "kernel"] = Field("map", description="mapped samples, or (svm only) the similarity x A x' as kernel")

    def fit(self, task: Task) -> Predictor:
        """One eigenproblem for each domain in float64, of its columns or of its samples, whichever are fewer.

        Raises:
            TlbenchError: `form = "kernel"` with another learner than svm, or in a regression.
        """
        source, target = shallow.source_samples(self, task), shallow.target_samples(task)
        if self.form == "kernel":
            if self.learner != "svm" or task.regression:
                raise TlbenchError(
                    "coral_map: form = 'kernel' is not defined for this learner or task. It needs learner = 'svm' and a "
                    "classification. Set form = 'map'."
                )
            mapped_back = subspaces.coral(source.x, target, self.ridge)
            similarity = mapped_back @ source.x.T
            kernel_scores = base_learners.fit_svm(similarity, source.y, task.classes, c=self.c, kernel="precomputed")
            return lambda x: kernel_scores(x.flatten(1).double() @ mapped_back.T)
        mapped = subspaces.coral(source.x, target, self.ridge)
        scores = shallow.fit_learner(self, mapped, source.y, task)
        return lambda x: scores(x.flatten(1))
