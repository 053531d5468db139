"""Kernel mean matching: weights under which the source's mean in a kernel's feature space is the target's.

Huang, Smola, Gretton, Borgwardt and Schoelkopf, Correcting sample selection bias by unlabeled data, NIPS 2006.
"""

from __future__ import annotations

import math

import torch
from pydantic import Field
from torch import Tensor

from tlbench.errors import TlbenchError
from tlbench.methods.reweighting import ReweightingMethod
from tlbench.solvers import kernel_mean_matching, nystrom
from tlbench.terms import Labelled, Task


class KMM(ReweightingMethod):
    """min 1/2 w'Kw - kappa'w with 0 <= w <= bound and |mean w - 1| <= band (equation 12), Gaussian kernel.

    The width is the median rule's unless it is given. Beyond `exact_rows` source rows the kernel goes through landmarks
    (Nystrom): N x landmarks numbers in place of N x N.
    """

    gamma: float | None = Field(None, gt=0, description="kernel exp(-gamma d^2); by default 1 / (2 median d^2) of both domains")
    bound: float = Field(1000.0, gt=0, description="B, the largest weight")
    band: float | None = Field(None, ge=0, description="how far the mean weight may be from 1; by default 1 - 1 / sqrt(N)")
    tolerance: float = Field(5e-4, gt=0, description="stop where the objective is within this share of the least one")
    steps: int = Field(1000, ge=1, description="steps of the accelerated projected gradient, at most")
    exact_rows: int = Field(5000, ge=1, description="source rows up to which the kernel matrix is whole")
    landmarks: int = Field(500, ge=1, description="rows that the kernel goes through beyond that")

    def weights(self, source: Labelled, target_MD: Tensor, task: Task) -> Tensor:
        """The quadratic program's solution."""
        rows = len(source.x)
        band = 1 - 1 / math.sqrt(rows) if self.band is None else self.band
        if self.bound < 1 - band:
            raise TlbenchError(f"kmm: no weights of at most bound = {self.bound:g} have a mean in 1 - {band:g} or above")
        gamma = self.gamma or nystrom.median_gamma(source.x, target_MD)
        few = None if rows <= self.exact_rows else self.landmarks
        if few is not None:
            self.note(f"kernel of {rows} source rows through {few} landmarks (Nystrom)")
        apply, kappa = kernel_mean_matching.kernel_and_mean(source.x, target_MD, gamma, few)
        if not float(kappa.max()) > kernel_mean_matching.REACH * rows:
            self.note("no target row is within the kernel's reach of a source row: the weights say nothing of the target")
        low, high = rows * (1 - band), rows * (1 + band)
        ones = torch.ones_like(kappa)
        w, gap = kernel_mean_matching.minimize(
            apply, kappa, ones, upper=self.bound, low=low, high=high, tolerance=self.tolerance, steps=self.steps
        )
        if gap > 10 * self.tolerance:
            self.note(f"kmm stopped after {self.steps} steps, within {gap:.1g} of the least objective")
        return w
