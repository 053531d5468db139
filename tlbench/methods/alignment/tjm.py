"""Transfer joint matching: transfer components in which source rows that do not help lose their coefficients.

Long, Wang, Ding, Sun and Yu, Transfer joint matching for unsupervised domain adaptation, CVPR 2014.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from pydantic import Field

from tlbench.methods import shallow
from tlbench.methods.base import Predictor, ShallowMethod
from tlbench.solvers.kernel_columns import kernel_columns
from tlbench.solvers.transfer_components import Scatter, components, contrasts, scaled, unit
from tlbench.terms import Task


class Tjm(ShallowMethod):
    """min tr(W'K M K W) + penalty (|W_s|_{2,1} + |W_t|_F^2) under W'K H K W = I, by reweighting rows of W.

    Each round solves TCA with G_ii = 1 / (2 |w_i|) on source rows and 1 on target rows. Constraint and norm fix one scale, so
    that the components are taken as they come. Defaults: the paper's 20 components, penalty 1 and Gaussian kernel.
    """

    reads = frozenset({"source", "target"})
    tasks = shallow.BOTH_TASKS
    gamma: float | None = Field(None, gt=0, description="exp(-gamma |x - y|^2); null: 1 / (2 median |x - y|^2)")
    components: int = Field(20, ge=1, description="components")
    penalty: float = Field(1.0, gt=0, description="weight of the coefficients beside the distance of the means")
    rounds: int = Field(10, ge=1, description="reweightings, fewer once the objective stands still to 1e-6")
    learner: shallow.Learner = Field("auto", description="trained on the source's components, of unit length")
    c: float = Field(1.0, gt=0, description="inverse penalty of the learner, where it has one")

    def fit(self, task: Task) -> Predictor:
        """In float64; the coefficients belong to rows, so that the kernel is whole: up to some 10,000 rows."""
        source, target = shallow.source_samples(self, task), shallow.target_samples(task)
        made = kernel_columns(torch.cat([source.x, target]), "rbf", gamma=self.gamma, exact=len(source) + len(target))
        mismatch = made.gather(unit(contrasts(len(source), len(target), made.rows_ND)))
        scatter, count = Scatter(made), shallow.at_most(self, self.components, made.width)
        penalty, before = self.penalty * torch.ones_like(made.rows_ND[:, 0]), torch.inf
        for _ in range(self.rounds):
            weights = scaled(*components(scatter, mismatch, penalty, count), "scatter")
            lengths = weights[: len(source)].norm(dim=1)
            size = lengths.sum() + weights[len(source) :].square().sum()
            objective = float((mismatch.T @ weights).square().sum() + self.penalty * size)
            if before - objective <= 1e-6 * objective:
                break
            before = objective
            # a row whose coefficients vanish stays out: its penalty is bounded, not infinite
            penalty[: len(source)] = self.penalty / (2 * lengths.clamp_min(1e-10 * float(weights.abs().max())))
        kept = float((lengths > 1e-6 * weights.abs().max()).double().mean())
        self.note(f"{kept:.0%} of the source rows keep coefficients")
        features = F.normalize(made.map(weights)[: len(source)])
        scores = shallow.fit_learner(self, features, source.y, task)
        return lambda x: scores(F.normalize(made.at(x.flatten(1)) @ weights))
