"""Nearest-neighbour weights: a source row counts as often as it is the nearest one to a target row.

Loog, Nearest neighbor-based importance weighting, MLSP 2012.
"""

from __future__ import annotations

import torch
from pydantic import Field
from torch import Tensor

from tlbench.methods.reweighting import ReweightingMethod
from tlbench.solvers import kernels, nystrom
from tlbench.terms import Labelled, Task


class NearestNeighborWeights(ReweightingMethod):
    """w_i = how many target rows have source row i among their nearest, plus 1 with smoothing. Ties go to the first row."""

    neighbors: int = Field(1, ge=1, description="k: source rows that a target row counts for")
    smoothing: bool = Field(True, description="Laplace: one more for every source row, so that none is lost")

    def weights(self, source: Labelled, target_MD: Tensor, task: Task) -> Tensor:
        """By blocks of target rows."""
        near = min(self.neighbors, len(source.x))
        if near < self.neighbors:
            self.note(f"{near} source rows, so that k = {near}")
        counts = torch.zeros(len(source.x), dtype=torch.int64, device=source.x.device)
        for part in nystrom.blocks(target_MD, len(source.x)):
            squared = kernels.squared_distances(part, source.x)
            nearest = squared.argmin(dim=1) if near == 1 else squared.argsort(dim=1, stable=True)[:, :near].flatten()
            counts += torch.bincount(nearest, minlength=len(counts))
        return counts.double() + self.smoothing
