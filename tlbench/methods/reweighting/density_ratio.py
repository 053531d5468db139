"""Density ratio: a kernel density estimate of each domain, one divided by the other.

Shimodaira, Improving predictive inference under covariate shift by weighting the log-likelihood function, JSPI 2000 (the
weighting); Sugiyama and Mueller, Statistics and Decisions 2005 (estimated densities in it).
"""

from __future__ import annotations

import torch
from pydantic import Field
from torch import Tensor

from tlbench.methods.reweighting import ReweightingMethod
from tlbench.solvers import density_ratios, nystrom
from tlbench.terms import Labelled, Task


class DensityRatio(ReweightingMethod):
    """w(x) = mean_t exp(-|x - x_t|^2 / (2 h^2)) / mean_s exp(-|x - x_s|^2 / (2 h^2)), one h for both.

    h is the one of the largest leave-one-out likelihood of the pooled rows (at most 2,000), unless it is given.
    """

    bandwidth: float | None = Field(None, gt=0, description="h; by default by leave-one-out likelihood")
    leave_one_out: bool = Field(False, description="whether a source row is left out of the density at itself")
    max_samples: int = Field(10_000, ge=2, description="rows of a domain that carry a kernel, at most")

    def weights(self, source: Labelled, target_MD: Tensor, task: Task) -> Tensor:
        """In logarithms, so that far rows do not divide nothing by nothing."""
        pooled = torch.cat([source.x, target_MD])
        width = self.bandwidth or density_ratios.best_bandwidth(nystrom.random_landmarks(pooled, 2000))
        own, other = source.x, target_MD
        if max(len(own), len(other)) > self.max_samples:
            self.note(f"densities from {self.max_samples} rows of a domain at most")
            other = nystrom.random_landmarks(other, self.max_samples)
        itself = not self.leave_one_out or len(own) < 2
        if len(own) > self.max_samples:
            own, itself = nystrom.random_landmarks(own, self.max_samples), True
        if self.leave_one_out and itself:
            self.note("leave_one_out needs every source row in the density: rows count in their own")
        logs = density_ratios.log_kernel_density(source.x, other, width)
        logs = logs - density_ratios.log_kernel_density(source.x, own, width, itself=itself)
        return (logs - logs.max()).exp()
