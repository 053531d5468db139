"""KLIEP: the density ratio as a sum of kernels under which the target samples are most likely.

Sugiyama, Nakajima, Kashima, von Bünau and Kawanabe, Direct importance estimation with model selection and its application to
covariate shift adaptation, NIPS 2007.
https://proceedings.neurips.cc/paper/2007/hash/be83ab3ecd0db773eb2dc1b0a17836a1-Abstract.html
"""

from __future__ import annotations

import torch
from pydantic import Field
from torch import Tensor

from tlbench.methods.reweighting import ReweightingMethod
from tlbench.solvers import sampling
from tlbench.solvers.kernels import gaussian, nystrom
from tlbench.solvers.reweighting import kliep
from tlbench.terms import Labelled, Task

FOLDS = 5


class KLIEP(ReweightingMethod):
    """max mean_t log w(x) with mean_s w = 1 and w(x) = sum_l alpha_l k(x, c_l), alpha >= 0, centres from the target.

    The width has the largest likelihood of left-out target samples (5 folds), over the median rule's times 4^-2 to 4^2.
    """

    version = 2
    centres: int = Field(100, ge=1, description="b, number of target samples that are kernel centres")
    gamma: float | None = Field(None, gt=0, description="kernel exp(-gamma d^2); by default by cross-validated likelihood")
    tolerance: float = Field(1e-8, gt=0, description="stop where the mean log likelihood is this close to the largest")
    steps: int = Field(100, ge=1, description="steps of the interior-point method, at most")

    def weights(self, source: Labelled, target_MD: Tensor, task: Task) -> Tensor:
        """An interior-point method at the width that is set or chosen."""
        centers_BD = sampling.random_subset(target_MD, self.centres)
        shuffled = target_MD[sampling.content_order(target_MD)]
        median = nystrom.pooled_median_gamma(source.x, target_MD)
        gamma = self.gamma or median
        if self.gamma is None and len(shuffled) < FOLDS:
            self.note(f"The width is the median rule's: there are fewer than {FOLDS} target samples for the folds.")
        elif self.gamma is None:
            candidates = (median * 4.0**k for k in range(-2, 3))
            gamma = max(candidates, key=lambda g: self._likelihood(source.x, shuffled, centers_BD, g))
        phi = gaussian.gram(source.x, centers_BD, gamma)
        columns, mean, active = kliep.normalized_kernels(gaussian.gram(target_MD, centers_BD, gamma), phi)
        if not int(active.sum()):
            return torch.zeros_like(phi[:, 0])
        beta, gap, steps = kliep.mixture_weights(columns, tolerance=self.tolerance, steps=self.steps)
        if not gap <= self.tolerance:
            self.note(
                f"KLIEP stopped after {steps} iterations; the gap to the largest mean log likelihood is {gap:.1g}, above the "
                f"tolerance {self.tolerance:.0g}."
            )
        return phi[:, active] @ (beta / mean)

    def _likelihood(self, source_ND: Tensor, target_MD: Tensor, centers_BD: Tensor, gamma: float) -> float:
        """Mean log w of the left-out target samples, summed over the folds."""
        phi = gaussian.gram(target_MD, centers_BD, gamma)
        columns, _, active = kliep.normalized_kernels(phi, gaussian.gram(source_ND, centers_BD, gamma))
        if not int(active.sum()):
            return -float("inf")
        fold = torch.arange(len(columns), device=columns.device) % FOLDS
        total = 0.0
        for k in range(FOLDS):
            beta, _, _ = kliep.mixture_weights(columns[fold != k])
            total += float((columns[fold == k] @ beta).clamp_min(1e-300).log().mean())
        return total
