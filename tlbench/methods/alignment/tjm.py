"""Transfer joint matching: transfer components in which source samples that do not help lose their coefficients.

Long, Wang, Ding, Sun and Yu, Transfer joint matching for unsupervised domain adaptation, CVPR 2014.
https://openaccess.thecvf.com/content_cvpr_2014/html/Long_Transfer_Joint_Matching_2014_CVPR_paper.html
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from pydantic import Field

from tlbench.methods import shallow
from tlbench.methods.base import Predictor, ShallowMethod
from tlbench.solvers import transfer_components as components
from tlbench.solvers.kernels.design import kernel_design
from tlbench.terms import Task


class TJM(ShallowMethod):
    """min tr(W'K M K W) + penalty (|W_s|_{2,1} + |W_t|_F^2) under W'K H K W = I, by iterative reweighting of W.

    Each round solves TCA with G_ii = 1 / (2 |w_i|) on source samples and 1 on target samples. Constraint and norm fix one
    scale, so that the components are not rescaled. Defaults: the paper's 20 components, penalty 1 and Gaussian kernel.
    """

    reads = frozenset({"source", "target"})
    tasks = shallow.BOTH_TASKS
    version = 2
    gamma: float | None = Field(None, gt=0, description="exp(-gamma |x - y|^2); null: 1 / (2 median |x - y|^2)")
    components: int = Field(20, ge=1, description="components")
    penalty: float = Field(1.0, gt=0, description="weight of the coefficients beside the distance of the means")
    rounds: int = Field(10, ge=1, description="reweightings, fewer once the objective changes by less than 1e-6 of itself")
    learner: shallow.Learner = Field("auto", description="fitted on the source's components, of unit length")
    c: float = Field(1.0, gt=0, description="inverse penalty of the learner, where it has one")

    def fit(self, task: Task) -> Predictor:
        """Rounds in float64; coefficients belong to samples, so that the kernel is exact: up to some 10,000 samples."""
        source, target = shallow.source_samples(self, task), shallow.target_samples(task)
        design = kernel_design(torch.cat([source.x, target]), "rbf", gamma=self.gamma, exact=len(source) + len(target))
        contrast = components.normalize_contrasts(components.mean_contrast(len(source), len(target), design.samples_ND))
        mismatch = design.transpose_matmul(contrast)
        scatter, count = components.Scatter(design), shallow.limit_components(self, self.components, design.width)
        penalty, previous = self.penalty * torch.ones_like(design.samples_ND[:, 0]), torch.inf
        for _ in range(self.rounds):
            values, vectors = components.leading_components(scatter, mismatch, penalty, count, note=self.note)
            weights = components.scale_components(values, vectors, "scatter", self.note)
            lengths = weights[: len(source)].norm(dim=1)
            size = lengths.sum() + weights[len(source) :].square().sum()
            objective = float((mismatch.T @ weights).square().sum() + self.penalty * size)
            change, previous = previous - objective, objective
            if change <= 1e-6 * objective:
                break
            # a sample whose coefficients vanish stays out: its penalty is bounded, not infinite
            penalty[: len(source)] = self.penalty / (2 * lengths.clamp_min(1e-10 * float(weights.abs().max())))
        else:  # the first round has nothing to fall from
            change = change if self.rounds > 1 else objective
            self.note(
                f"The reweighting stopped after {self.rounds} rounds; the objective fell by {change / objective:.1g} of itself "
                "in the last, above the tolerance 1e-06."
            )
        share = float((lengths > 1e-6 * weights.abs().max()).double().mean())
        self.note(f"{share:.0%} of the source samples have coefficients above rounding.")
        features = F.normalize(design.matmul(weights)[: len(source)])
        scores = shallow.fit_learner(self, features, source.y, task)
        return lambda x: scores(F.normalize(design.columns(x.flatten(1)) @ weights))
