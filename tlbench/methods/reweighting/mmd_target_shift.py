"""Target-shift weights by maximum mean discrepancy: one weight for each class, under which the mixture is the target's.

Zhang, Schoelkopf, Muandet and Wang, Domain adaptation under target and conditional shift, ICML 2013, section 3 (MMDTarS).
"""

from __future__ import annotations

import math

import torch
from pydantic import Field
from torch import Tensor

from tlbench.methods.reweighting import ReweightingMethod
from tlbench.solvers import kernel_mean_matching, nystrom
from tlbench.terms import Labelled, Task


class MMDTargetShift(ReweightingMethod):
    """min |mean_s w(y) mu(X | y) - mean_t phi(x)|^2 with 0 <= w <= bound and |mean w - 1| <= bound / (4 sqrt N).

    Classes: C weights. Regression: a smooth w(y), through a Gaussian kernel on y of the median rule. The width on rows is the
    median rule's too, unless it is given.
    """

    gamma: float | None = Field(None, gt=0, description="kernel exp(-gamma d^2); by default 1 / (2 median d^2) of both domains")
    bound: float = Field(10.0, ge=1, description="B, the largest weight")
    smoothing: float = Field(1e-3, gt=0, description="regression: ridge of the kernel smoother on y, per row")
    exact_rows: int = Field(5000, ge=1, description="source rows up to which the kernel matrix is whole")
    landmarks: int = Field(500, ge=1, description="rows that the kernel goes through beyond that")

    def weights(self, source: Labelled, target_MD: Tensor, task: Task) -> Tensor:
        """A quadratic program of C unknowns, or of the source rows for a regression."""
        rows = len(source.y)
        band = min(self.bound / (4 * math.sqrt(rows)), 1.0)
        gamma = self.gamma or nystrom.median_gamma(source.x, target_MD)
        few = None if rows <= self.exact_rows else self.landmarks
        if few is not None:
            self.note(f"kernel of {rows} source rows through {few} landmarks (Nystrom)")
        apply, kappa = kernel_mean_matching.kernel_and_mean(source.x, target_MD, gamma, few)
        if not float(kappa.max()) > kernel_mean_matching.REACH * rows:
            self.note("no target row is within the kernel's reach of a source row: the weights say nothing of the target")
        if task.regression:
            smooth = kernel_mean_matching.smoother(source.y.double(), self.smoothing, self.landmarks)
            w, _ = kernel_mean_matching.minimize(
                lambda w: smooth(apply(smooth(w))),
                smooth(kappa),
                torch.ones_like(kappa),
                upper=self.bound,
                low=rows * (1 - band),
                high=rows * (1 + band),
            )
            return w
        there, place = source.y.unique(return_inverse=True)
        member_NC = torch.nn.functional.one_hot(place, len(there)).to(kappa)
        inner = torch.stack([member_NC.T @ apply(column) for column in member_NC.T])
        count, mean = member_NC.sum(dim=0), member_NC.T @ kappa
        alpha, _ = kernel_mean_matching.minimize(
            lambda a: inner @ a, mean, count, upper=self.bound, low=rows * (1 - band), high=rows * (1 + band), tolerance=1e-12
        )
        return alpha[place]
