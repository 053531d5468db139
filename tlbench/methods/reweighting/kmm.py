"""Kernel mean matching: weights under which the source's mean in the feature space of a kernel is the target's.

Huang, Smola, Gretton, Borgwardt and Schölkopf, Correcting sample selection bias by unlabeled data, NIPS 2006.
https://proceedings.neurips.cc/paper/2006/hash/a2186aa7c086b46ad4e8bf81e2a3a19b-Abstract.html
"""

from __future__ import annotations

import math

import torch
from pydantic import Field
from torch import Tensor

from tlbench.errors import TlbenchError
from tlbench.methods.reweighting import ReweightingMethod
from tlbench.solvers.kernels import nystrom
from tlbench.solvers.reweighting import kernel_mean_matching
from tlbench.solvers.reweighting.quadratic_program import minimize_quadratic, stopping_note
from tlbench.terms import Labelled, Task


class KMM(ReweightingMethod):
    """min 1/2 w'Kw - kappa'w with 0 <= w <= bound and |mean w - 1| <= band (equation 12), Gaussian kernel.

    The width is the median rule's unless it is set. Beyond `exact_rows` source samples the kernel goes through landmarks
    (Nystrom): N x landmarks numbers in place of N x N.
    """

    version = 2
    gamma: float | None = Field(None, gt=0, description="kernel exp(-gamma d^2); by default 1 / (2 median d^2) of both domains")
    bound: float = Field(1000.0, gt=0, description="B, the largest weight")
    band: float | None = Field(None, ge=0, description="largest |mean weight - 1|; by default 1 - 1 / sqrt(N)")
    tolerance: float = Field(
        1e-6, gt=0, description="of the gap to the least objective, as a share of the gain over equal weights"
    )
    steps: int = Field(100, ge=1, description="steps of the interior-point method, at most")
    exact_rows: int = Field(5000, ge=1, description="source samples up to which the kernel matrix is exact")
    landmarks: int = Field(500, ge=1, description="landmarks of the kernel beyond that")

    def weights(self, source: Labelled, target_MD: Tensor, task: Task) -> Tensor:
        """The solution of the quadratic program.

        Raises:
            TlbenchError: No weights meet the bound and the band.
        """
        count = len(source.x)
        band = 1 - 1 / math.sqrt(count) if self.band is None else self.band
        if self.bound < 1 - band:
            raise TlbenchError(
                f"kmm: No weights of at most bound = {self.bound:g} have a mean of 1 - {band:g} or more. "
                "Raise `bound` or `band`."
            )
        gamma = self.gamma or nystrom.pooled_median_gamma(source.x, target_MD)
        landmarks = None if count <= self.exact_rows else self.landmarks
        matrix, kappa = kernel_mean_matching.kernel_and_mean(source.x, target_MD, gamma, landmarks)
        for remark in kernel_mean_matching.remarks(kappa, landmarks):
            self.note(remark)
        low, high = count * (1 - band), count * (1 + band)
        ones = torch.ones_like(kappa)
        w, gap, steps = minimize_quadratic(
            matrix, kappa, ones, upper=self.bound, low=low, high=high, tolerance=self.tolerance, steps=self.steps
        )
        if not gap <= self.tolerance:
            self.note(stopping_note("The quadratic program of kernel mean matching", steps, gap, self.tolerance))
        return w
