"""Target-shift weights by maximum mean discrepancy: one weight for each class, under which the mixture is the target's.

Zhang, Schölkopf, Muandet and Wang, Domain adaptation under target and conditional shift, ICML 2013, section 3 (MMDTarS).
https://proceedings.mlr.press/v28/zhang13d.html
"""

from __future__ import annotations

import math

import torch
from pydantic import Field
from torch import Tensor

from tlbench.methods.reweighting import ReweightingMethod
from tlbench.solvers.kernels import nystrom
from tlbench.solvers.reweighting import kernel_mean_matching
from tlbench.solvers.reweighting.quadratic_program import TOLERANCE, SemidefiniteMatrix, minimize_quadratic, stopping_note
from tlbench.terms import Labelled, Task


class MMDTargetShift(ReweightingMethod):
    """min |mean_s w(y) mu(X | y) - mean_t phi(x)|^2 with 0 <= w <= bound and |mean w - 1| <= bound / (4 sqrt N).

    Classes: C weights. Regression: a smooth w(y), through a Gaussian kernel on y of the median rule. The width on the samples
    is the median rule's too, unless it is set.
    """

    version = 2
    gamma: float | None = Field(None, gt=0, description="kernel exp(-gamma d^2); by default 1 / (2 median d^2) of both domains")
    bound: float = Field(10.0, ge=1, description="B, the largest weight")
    smoothing: float = Field(1e-3, gt=0, description="regression: ridge of the kernel smoother on y, per sample")
    exact_rows: int = Field(5000, ge=1, description="source samples up to which the kernel matrix is exact")
    landmarks: int = Field(500, ge=1, description="landmarks of the kernel beyond that")

    def weights(self, source: Labelled, target_MD: Tensor, task: Task) -> Tensor:
        """A quadratic program of C unknowns, or of the source samples for a regression."""
        count = len(source.y)
        band = min(self.bound / (4 * math.sqrt(count)), 1.0)
        gamma = self.gamma or nystrom.pooled_median_gamma(source.x, target_MD)
        landmarks = None if count <= self.exact_rows else self.landmarks
        matrix, kappa = kernel_mean_matching.kernel_and_mean(source.x, target_MD, gamma, landmarks)
        for remark in kernel_mean_matching.remarks(kappa, landmarks):
            self.note(remark)
        low, high = count * (1 - band), count * (1 + band)

        def solve(matrix: SemidefiniteMatrix, linear: Tensor, weights: Tensor) -> Tensor:
            w, gap, steps = minimize_quadratic(matrix, linear, weights, upper=self.bound, low=low, high=high)
            if not gap <= TOLERANCE:
                self.note(stopping_note("The quadratic program of the weights", steps, gap, TOLERANCE))
            return w

        if task.regression:
            smoothed = kernel_mean_matching.smoothed(matrix, kappa, source.y.double(), self.smoothing, self.landmarks)
            return solve(*smoothed, torch.ones_like(kappa))
        present, class_indices = source.y.unique(return_inverse=True)
        member_NC = torch.nn.functional.one_hot(class_indices, len(present)).to(kappa)
        inner_CC = torch.stack([member_NC.T @ matrix(column) for column in member_NC.T])
        class_counts, mean = member_NC.sum(dim=0), member_NC.T @ kappa
        return solve(SemidefiniteMatrix(dense=inner_CC), mean, class_counts)[class_indices]
