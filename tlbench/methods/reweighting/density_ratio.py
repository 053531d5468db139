"""Density ratio: a kernel density estimate of each domain, one divided by the other.

Shimodaira, Improving predictive inference under covariate shift by weighting the log-likelihood function, JSPI 2000 (the
weighting). https://doi.org/10.1016/S0378-3758(00)00115-4
Sugiyama and Müller, Input-dependent estimation of generalization error under covariate shift, Statistics and Decisions 2005
(with estimated densities).
"""

from __future__ import annotations

import torch
from pydantic import Field
from torch import Tensor

from tlbench.methods.reweighting import ReweightingMethod
from tlbench.solvers import sampling
from tlbench.solvers.reweighting import density_estimates
from tlbench.terms import Labelled, Task


class DensityRatio(ReweightingMethod):
    """w(x) = mean_t exp(-|x - x_t|^2 / (2 h^2)) / mean_s exp(-|x - x_s|^2 / (2 h^2)), one h for both.

    Unless it is set, h has the largest leave-one-out likelihood of the pooled samples (at most 2,000).
    """

    bandwidth: float | None = Field(None, gt=0, description="h; by default by leave-one-out likelihood")
    leave_one_out: bool = Field(False, description="whether a source sample is left out of the density at itself")
    max_samples: int = Field(10_000, ge=2, description="samples of a domain that are kernel centres, at most")

    def weights(self, source: Labelled, target_MD: Tensor, task: Task) -> Tensor:
        """The ratio is formed in logarithms, so that far samples do not divide 0 by 0."""
        pooled = torch.cat([source.x, target_MD])
        bandwidth = self.bandwidth or density_estimates.likelihood_bandwidth(sampling.random_subset(pooled, 2000))
        source_centers, target_centers = source.x, target_MD
        if max(len(source_centers), len(target_centers)) > self.max_samples:
            self.note(f"The densities are of at most {self.max_samples} samples of a domain.")
            target_centers = sampling.random_subset(target_centers, self.max_samples)
        include_self = not self.leave_one_out or len(source_centers) < 2
        if len(source_centers) > self.max_samples:
            source_centers, include_self = sampling.random_subset(source_centers, self.max_samples), True
        if self.leave_one_out and include_self:
            self.note(
                "Samples count in their own density: leave_one_out needs two source samples or more, all of them centres."
            )
        logs = density_estimates.log_kernel_density(source.x, target_centers, bandwidth)
        logs = logs - density_estimates.log_kernel_density(source.x, source_centers, bandwidth, include_self=include_self)
        return (logs - logs.max()).exp()
