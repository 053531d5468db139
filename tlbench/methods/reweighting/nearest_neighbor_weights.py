"""Nearest-neighbour weights: a source sample counts as often as it is the nearest one to a target sample.

Loog, Nearest neighbor-based importance weighting, MLSP 2012. https://doi.org/10.1109/MLSP.2012.6349714
"""

from __future__ import annotations

import torch
from pydantic import Field
from torch import Tensor

from tlbench.methods.reweighting import ReweightingMethod
from tlbench.solvers import sampling
from tlbench.solvers.kernels.gaussian import squared_distances
from tlbench.terms import Labelled, Task


class NearestNeighborWeights(ReweightingMethod):
    """w_i: number of target samples with source sample i among their nearest (the first of ties), plus 1 with smoothing."""

    neighbors: int = Field(1, ge=1, description="k: source samples that a target sample counts for")
    smoothing: bool = Field(True, description="Laplace: one more for every source sample, so that none is lost")

    def weights(self, source: Labelled, target_MD: Tensor, task: Task) -> Tensor:
        """The counts over chunks of target samples."""
        k = min(self.neighbors, len(source.x))
        if k < self.neighbors:
            self.note(f"k is {k}: there are no more source samples.")
        counts = torch.zeros(len(source.x), dtype=torch.int64, device=source.x.device)
        for chunk in sampling.chunks(target_MD, len(source.x)):
            squared = squared_distances(chunk, source.x)
            nearest = squared.argmin(dim=1) if k == 1 else squared.argsort(dim=1, stable=True)[:, :k].flatten()
            counts += torch.bincount(nearest, minlength=len(counts))
        return counts.double() + self.smoothing
