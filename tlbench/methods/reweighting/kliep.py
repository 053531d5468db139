"""KLIEP: the density ratio as a sum of kernels under which the target rows are most likely.

Sugiyama, Nakajima, Kashima, von Buenau and Kawanabe, Direct importance estimation with model selection and its application to
covariate shift adaptation, NIPS 2007.
"""

from __future__ import annotations

import torch
from pydantic import Field
from torch import Tensor

from tlbench.methods.reweighting import ReweightingMethod
from tlbench.solvers import density_ratios, kernels, nystrom
from tlbench.terms import Labelled, Task


class KLIEP(ReweightingMethod):
    """max mean_t log w(x) with mean_s w = 1 and w(x) = sum_l alpha_l k(x, c_l), alpha >= 0, centres from the target.

    The width is that of the largest likelihood of target rows left out (5 folds), over the median rule's times 4^-2
    to 4^2.
    """

    centres: int = Field(100, ge=1, description="b, how many target rows carry a kernel")
    gamma: float | None = Field(None, gt=0, description="kernel exp(-gamma d^2); by default by cross-validated likelihood")
    tolerance: float = Field(1e-4, gt=0, description="stop where the mean log likelihood is this close to the largest")
    steps: int = Field(5000, ge=1, description="steps of expectation maximisation, at most")

    def weights(self, source: Labelled, target_MD: Tensor, task: Task) -> Tensor:
        """Expectation maximisation at the width that is given or chosen."""
        centres = nystrom.random_landmarks(target_MD, self.centres)
        rows = target_MD[nystrom.content_order(target_MD)]
        middle = nystrom.median_gamma(source.x, target_MD)
        if self.gamma is None and len(rows) < density_ratios.FOLDS:
            self.note(f"fewer than {density_ratios.FOLDS} target rows for the folds: median width")
        if self.gamma is None and len(rows) >= density_ratios.FOLDS:
            gamma = max((middle * 4.0**k for k in range(-2, 3)), key=lambda g: self._likelihood(source.x, rows, centres, g))
        else:
            gamma = self.gamma or middle
        phi = kernels.gram(source.x, centres, gamma)
        columns, mean, kept = density_ratios.likelihood_columns(kernels.gram(target_MD, centres, gamma), phi)
        if not int(kept.sum()):
            return torch.zeros_like(phi[:, 0])
        beta, left = density_ratios.mixture(columns, tolerance=self.tolerance, steps=self.steps)
        if left > 10 * self.tolerance:
            self.note(f"kliep stopped after {self.steps} steps, within {left:.1g} of the largest likelihood")
        return phi[:, kept] @ (beta / mean)

    def _likelihood(self, source_ND: Tensor, target_MD: Tensor, centres: Tensor, gamma: float) -> float:
        """Mean log w of target rows over the folds that they are left out of."""
        phi = kernels.gram(target_MD, centres, gamma)
        columns, _, kept = density_ratios.likelihood_columns(phi, kernels.gram(source_ND, centres, gamma))
        if not int(kept.sum()):
            return -float("inf")
        fold = torch.arange(len(columns), device=columns.device) % density_ratios.FOLDS
        total = 0.0
        for k in range(density_ratios.FOLDS):
            beta, _ = density_ratios.mixture(columns[fold != k], tolerance=1e-2, steps=200)
            total += float((columns[fold == k] @ beta).clamp_min(1e-300).log().mean())
        return total
