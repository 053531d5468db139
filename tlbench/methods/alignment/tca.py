"""Transfer component analysis: directions of a kernel space in which the domain means agree and the samples still vary.

Pan, Tsang, Kwok and Yang, Domain adaptation via transfer component analysis, IEEE Transactions on Neural Networks 2011.
https://doi.org/10.1109/TNN.2010.2091281
"""

from __future__ import annotations

from typing import Literal

import torch
import torch.nn.functional as F
from pydantic import Field

from tlbench.methods import shallow
from tlbench.methods.base import Predictor, ShallowMethod
from tlbench.solvers import transfer_components as components
from tlbench.solvers.kernels.design import Kernel, kernel_design
from tlbench.terms import Task


class TCA(ShallowMethod):
    """Leading eigenvectors of (penalty I + K M K)^-1 K H K, M = e e' / |e|^2 for the difference e of the two means.

    The paper leaves kernel, penalty and number open: they are those of the tables of Long et al. (ICCV 2013), which need
    coefficient vectors of unit length. Where each domain is centred a linear kernel has no difference of means to remove.
    """

    reads = frozenset({"source", "target"})
    tasks = shallow.BOTH_TASKS
    version = 2
    kernel: Kernel = Field("linear", description="linear and rbf: coefficients of the samples (dual); primal: of the columns")
    gamma: float | None = Field(None, gt=0, description="rbf: exp(-gamma |x - y|^2); null: 1 / (2 median |x - y|^2)")
    components: int = Field(100, ge=1, description="transfer components")
    penalty: float = Field(1.0, gt=0, description="weight of the coefficients' length beside the distance of the means")
    scale: Literal["coefficients", "scatter"] = Field("coefficients", description="unit coefficients, or W'K H K W = I")
    unit_rows: bool = Field(False, description="samples divided by their length first")
    landmarks: int = Field(1000, ge=1, description="rbf: landmarks of the Nystrom form beyond `exact` samples")
    exact: int = Field(10_000, ge=1, description="rbf: up to so many samples the kernel is exact; more take the Nystrom form")
    learner: shallow.Learner = Field("auto", description="fitted on the source's components")
    c: float = Field(1.0, gt=0, description="inverse penalty of the learner, where it has one")

    def fit(self, task: Task) -> Predictor:
        """One eigenproblem in float64, with as many columns as the rank of the kernel, dense or by iteration."""
        source, target = shallow.source_samples(self, task), shallow.target_samples(task)
        samples = torch.cat([source.x, target])
        samples = F.normalize(samples) if self.unit_rows else samples
        design = kernel_design(samples, self.kernel, gamma=self.gamma, landmarks=self.landmarks, exact=self.exact)
        shallow.note_approximation(self, design)
        contrast = components.normalize_contrasts(components.mean_contrast(len(source), len(target), samples))
        mismatch = design.transpose_matmul(contrast)
        count = shallow.limit_components(self, self.components, design.width)
        values, vectors = components.leading_components(
            components.Scatter(design), mismatch, self.penalty, count, note=self.note
        )
        weights = components.scale_components(values, vectors, self.scale, self.note)
        features = design.matmul(weights)[: len(source)]
        scores = shallow.fit_learner(self, features, source.y, task)

        def predict(x: torch.Tensor) -> torch.Tensor:
            flat = x.flatten(1).double()
            return scores(design.columns(F.normalize(flat) if self.unit_rows else flat) @ weights)

        return predict
