"""Gaussian ratio: one Gaussian for each domain, the target's density divided by the source's.

Shimodaira, Improving predictive inference under covariate shift by weighting the log-likelihood function, JSPI 2000.
https://doi.org/10.1016/S0378-3758(00)00115-4
"""

from __future__ import annotations

import torch
from pydantic import Field
from torch import Tensor

from tlbench.methods.reweighting import ReweightingMethod
from tlbench.solvers.reweighting import density_estimates
from tlbench.terms import Labelled, Task


class GaussianRatio(ReweightingMethod):
    """log w = log N(x; m_t, C_t) - log N(x; m_s, C_s), in columns scaled by their pooled standard deviation.

    Covariances (divided by N) are shrunk as by Ledoit and Wolf, unless `shrinkage` is set. Where the target is the wider
    domain w grows without bound away from the means; `cap` bounds it.
    """

    shrinkage: float | None = Field(
        None, ge=0, le=1, description="0: the sample covariance, 1: a sphere; by default Ledoit-Wolf"
    )
    cap: float | None = Field(
        None, gt=0, description="largest weight, in multiples of the mean before the cap; by default none"
    )

    def weights(self, source: Labelled, target_MD: Tensor, task: Task) -> Tensor:
        """One Cholesky factorisation for each domain."""
        spread = torch.cat([source.x, target_MD]).std(dim=0, correction=0)
        varies = spread > 1e-12 * spread.max()
        if not bool(varies.any()):
            return torch.zeros(len(source.x)).to(source.x)
        if not bool(varies.all()):
            self.note(f"{int((~varies).sum())} columns do not vary and are left out of the weights.")
        source_ND, target = source.x[:, varies] / spread[varies], target_MD[:, varies] / spread[varies]
        logs = source_ND.new_zeros(len(source_ND))
        for samples, sign in ((target, 1), (source_ND, -1)):
            mean, cov, shrinkage = density_estimates.shrunk_covariance(samples, self.shrinkage)
            if self.shrinkage is None and shrinkage < 1e-3:
                # a nearly exact dependence between columns has no information about the ratio
                mean, cov, _ = density_estimates.shrunk_covariance(samples, 1e-3)
            logs = logs + sign * density_estimates.log_gaussian(source_ND, mean, cov)
        weights = (logs - logs.logsumexp(0)).exp() * len(logs)
        return weights if self.cap is None else weights.clamp_max(self.cap)
