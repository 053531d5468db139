"""LAME: the network stays as it is, and the predictions of a batch move to those of similar samples in the batch.

Boudiaf, Mueller, Ben Ayed and Bertinetto, Parameter-free online test-time adaptation, CVPR 2022.
https://arxiv.org/abs/2201.05718
"""

from __future__ import annotations

from typing import Literal

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor

from tlbench.errors import NotApplicableError
from tlbench.methods.base import DeepMethod
from tlbench.methods.online import OnlineAdaptation, OnlineUpdate
from tlbench.terms import Step

STEPS, TOLERANCE = 100, 1e-8
LARGEST_BATCH = 4096
"""Samples of a batch, at most: all pairs of their features are compared."""


class LAME(DeepMethod):
    """CE on the source; then Y = softmax(log p + W Y) is solved for each batch, with affinities W of normalised features."""

    reads = frozenset({"source", "stream"})
    affinity: Literal["knn", "rbf", "linear"] = Field("knn", description="of neighbours, of a Gaussian kernel, or the cosine")
    neighbors: int = Field(5, ge=1, description="k, of the neighbours and of the kernel's width")

    def loss(self, step: Step) -> Tensor:
        """CE(source), a scalar."""
        return self.supervised(step)

    def online(self) -> OnlineAdaptation:
        """Nothing learns by gradients, and no batch depends on another."""
        return OnlineAdaptation(adapt=self.assign, decides_on_host=True)

    def assign(self, x: Tensor, update: OnlineUpdate) -> Tensor:
        """Network inputs (B, ...) -> logarithms (B, C) of the assignments to classes.

        Raises:
            NotApplicableError: a batch is too large.
        """
        features_BD = self.net.backbone(x).float()
        if (count := len(features_BD)) > LARGEST_BATCH:
            raise NotApplicableError(
                f"lame compares all pairs of a batch, and {count:,} samples are more than {LARGEST_BATCH:,}."
            )
        unary_BC = -(self.net.head(features_BD).float().softmax(dim=1) + 1e-10).log()
        affinity_BB = self.affinities(F.normalize(features_BD, dim=1))
        return self.solve(unary_BC, affinity_BB).clamp_min(1e-20).log()

    def affinities(self, features_BD: Tensor) -> Tensor:
        """Affinities (B, B) of features (B, D) of length 1."""
        if self.affinity == "linear":
            return features_BD @ features_BD.T
        distances_BB = (features_BD[:, None] - features_BD[None]).norm(dim=-1)
        if self.affinity == "rbf":
            count = min(self.neighbors, len(features_BD))
            width = distances_BB.topk(count, largest=False).values[:, -1].mean().clamp_min(1e-12)
            return (-distances_BB.square() / (2 * width**2)).exp()
        nearest = distances_BB.topk(min(self.neighbors + 1, len(features_BD)), largest=False).indices[:, 1:]
        return torch.zeros_like(distances_BB).scatter_(1, nearest, 1.0)

    def solve(self, unary_BC: Tensor, affinity_BB: Tensor) -> Tensor:
        """Assignments (B, C), by steps of the bound until the energy changes by less than 1e-8 of itself, 100 at most."""
        assignment_BC, last = (-unary_BC).softmax(dim=1), float("inf")
        for step in range(STEPS):
            pairwise_BC = affinity_BB @ assignment_BC
            assignment_BC = (pairwise_BC - unary_BC).softmax(dim=1)
            logs_BC = assignment_BC.clamp_min(1e-20).log()
            energy = float((assignment_BC * (unary_BC - pairwise_BC + logs_BC)).sum())
            if step > 1 and abs(energy - last) <= TOLERANCE * abs(last):
                return assignment_BC
            last = energy
        self.note(f"lame stopped after {STEPS} steps, before the energy of a batch was steady")
        return assignment_BC
