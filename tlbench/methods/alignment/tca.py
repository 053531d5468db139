"""Transfer component analysis: directions of a kernel space in which the means of both domains meet and the rows still vary.

Pan, Tsang, Kwok and Yang, Domain adaptation via transfer component analysis, IEEE Transactions on Neural Networks 2011.
"""

from __future__ import annotations

from typing import Literal

import torch
import torch.nn.functional as F
from pydantic import Field

from tlbench.methods import shallow
from tlbench.methods.base import Predictor, ShallowMethod
from tlbench.solvers.kernel_columns import Kernel, kernel_columns
from tlbench.solvers.transfer_components import Scatter, components, contrasts, scaled, unit
from tlbench.terms import Task


class Tca(ShallowMethod):
    """Leading eigenvectors of (penalty I + K M K)^-1 K H K, M = e e' / |e|^2 over the difference e of the two means.

    The paper leaves kernel, penalty and number open: they are those of the tables of Long et al. (ICCV 2013), which need
    coefficient vectors of unit length. On domains that are each centred a linear kernel has no difference of means to remove.
    """

    reads = frozenset({"source", "target"})
    tasks = shallow.BOTH_TASKS
    kernel: Kernel = Field("linear", description="linear and rbf: coefficients of the rows (dual); primal: of the columns")
    gamma: float | None = Field(None, gt=0, description="rbf: exp(-gamma |x - y|^2); null: 1 / (2 median |x - y|^2)")
    components: int = Field(100, ge=1, description="transfer components")
    penalty: float = Field(1.0, gt=0, description="weight of the coefficients' length beside the distance of the means")
    scale: Literal["coefficients", "scatter"] = Field("coefficients", description="unit coefficients, or W'K H K W = I")
    unit_rows: bool = Field(False, description="rows divided by their length first")
    landmarks: int = Field(1000, ge=1, description="rbf: rows that stand for all beyond `exact` rows")
    exact: int = Field(10_000, ge=1, description="rbf: up to so many rows the kernel is whole; more take the Nystrom form")
    learner: shallow.Learner = Field("auto", description="trained on the source's components")
    c: float = Field(1.0, gt=0, description="inverse penalty of the learner, where it has one")

    def fit(self, task: Task) -> Predictor:
        """In float64; the eigenproblem has as many columns as the kernel has ranks, or is solved by iteration."""
        source, target = shallow.source_samples(self, task), shallow.target_samples(task)
        rows = torch.cat([source.x, target])
        rows = F.normalize(rows) if self.unit_rows else rows
        made = kernel_columns(rows, self.kernel, gamma=self.gamma, landmarks=self.landmarks, exact=self.exact)
        if made.why_not_exact:
            self.note(made.why_not_exact)
        mismatch = made.gather(unit(contrasts(len(source), len(target), rows)))
        count = shallow.at_most(self, self.components, made.width)
        weights = scaled(*components(Scatter(made), mismatch, self.penalty, count), self.scale)
        features = made.map(weights)[: len(source)]
        scores = shallow.fit_learner(self, features, source.y, task)

        def predict(x: torch.Tensor) -> torch.Tensor:
            new = x.flatten(1).double()
            return scores(made.at(F.normalize(new) if self.unit_rows else new) @ weights)

        return predict
