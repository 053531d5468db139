"""uLSIF: the density ratio as a sum of kernels, fitted by least squares in closed form.

Kanamori, Hido and Sugiyama, A least-squares approach to direct importance estimation, JMLR 2009.
https://www.jmlr.org/papers/v10/kanamori09a.html
"""

from __future__ import annotations

import torch
from torch import Tensor

from tlbench.methods.reweighting._least_squares import LeastSquaresRatio
from tlbench.solvers.reweighting import least_squares_ratio


class ULSIF(LeastSquaresRatio):
    """Width and ridge by the paper's leave-one-out score in closed form, on at most 1,000 pairs of samples."""

    def scores(self, phi_source_NB: Tensor, phi_target_MB: Tensor, ridges: list[float]) -> list[float]:
        """One source sample and one target sample are left out at a time."""
        count = min(len(phi_source_NB), len(phi_target_MB), least_squares_ratio.MAX_LEFT_OUT_PAIRS)
        pairs = torch.arange(count, device=phi_source_NB.device).expand(2, count)
        return least_squares_ratio.leave_one_out_scores(phi_source_NB, phi_target_MB, ridges, pairs)
