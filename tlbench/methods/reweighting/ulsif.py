"""uLSIF: the density ratio as a sum of kernels, fitted by least squares in closed form.

Kanamori, Hido and Sugiyama, A least-squares approach to direct importance estimation, JMLR 2009.
"""

from __future__ import annotations

import torch
from torch import Tensor

from tlbench.methods.reweighting._least_squares import LeastSquaresRatio
from tlbench.solvers import density_ratios


class ULSIF(LeastSquaresRatio):
    """Width and ridge by the paper's leave-one-out score in closed form, on at most 1,000 pairs of rows."""

    def scores(self, phi_source_NB: Tensor, phi_target_MB: Tensor, ridges: list[float]) -> list[float]:
        """Leaving out one source and one target row at a time."""
        count = min(len(phi_source_NB), len(phi_target_MB), density_ratios.LOO_PAIRS)
        pairs = torch.arange(count, device=phi_source_NB.device).expand(2, count)
        return density_ratios.leave_one_out(phi_source_NB, phi_target_MB, ridges, pairs)
