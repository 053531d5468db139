"""SWAD: the mean of the weights of all steps within a valley of the loss on held-out samples of the sources.

Cha et al., SWAD: domain generalization by seeking flat minima, NeurIPS 2021. https://arxiv.org/abs/2102.08604
"""

from __future__ import annotations

import copy

import torch
from pydantic import Field
from torch import Tensor

from tlbench.methods.base import DeepMethod, Group, Passes, Phase
from tlbench.methods.domain_generalization._segment_means import SegmentMeans, hashed_positions
from tlbench.methods.domain_generalization._valley import averaged_segments
from tlbench.terms import Step


class SWAD(DeepMethod):
    """`source_only` on a part of the source samples; the loss on the others says which steps are averaged.

    As in the authors' code, the average begins where the loss has not fallen for `converge` segments, and ends where all of
    `tolerance` segments are above a threshold. It has statistics of batch normalisation as well. Sources are not told apart.
    """

    reads = frozenset({"source"})
    soft_labels = True
    segments: int = Field(20, ge=2, description="of the training, after each of which the loss is computed")
    converge: int = Field(3, ge=1, description="segments of which the first has the lowest loss where the average begins")
    tolerance: int = Field(6, ge=1, description="segments that are all above the threshold where the average ends")
    ratio: float = Field(0.3, ge=0, description="the threshold is 1 + ratio times the mean loss where the average begins")
    validation_share: float = Field(0.2, gt=0, lt=1, description="share of the source samples on which the loss is computed")

    def build(self) -> None:
        """Create the average network and the means of the segments."""
        self.average = copy.deepcopy(self.net)
        self.means = SegmentMeans(self.net, self.segments)

    def phases(self) -> tuple[Phase, ...]:
        """The training, interrupted before each segment, and a pass that ends the last segment and averages."""
        groups = (Group((self.net,)),)
        training = Phase(self.loss, self.reads, groups=groups, begin=self.next_segment, rounds=self.segments, after=self.follow)
        return training, Phase(None, frozenset(), 0.0, groups, begin=self.finish, passes=self.reads)

    def loss(self, step: Step) -> Tensor:
        """The cross-entropy of the samples that are not held out, a scalar."""
        learned_B = ~self.is_validation(step.indices["source"])
        losses_B = self.criterion(self.net(step.source.x), step.source.y, "none")
        loss: Tensor = (learned_B * losses_B).sum() / learned_B.sum().clamp_min(1)
        return loss

    def is_validation(self, indices: Tensor) -> Tensor:
        """Which of the source samples of some indices (B,) are held out."""
        return hashed_positions(indices) < self.validation_share

    def follow(self, progress: float) -> None:
        """Move the mean of the segment towards the network after a step."""
        self.means.follow(self.net)

    def next_segment(self, passes: Passes) -> None:
        """End a segment, if there is one, by the loss on held-out samples, and begin the next."""
        if self.means.segment >= 0:
            y = passes.labels("source")
            validation_N = self.is_validation(torch.arange(len(y), device=y.device))
            losses_N = self.criterion(passes.map("source", self.net), y, "none")
            self.means.loss_R[self.means.segment] = losses_N[validation_N].mean()
        self.means.segment += 1

    def finish(self, passes: Passes) -> None:
        """End the last segment, and put the mean of the valley into the average network."""
        self.next_segment(passes)
        losses = self.means.loss_R[: int(self.means.segment)].tolist()
        self.means.put_mean(averaged_segments(losses, self.converge, self.tolerance, self.ratio), self.average)
        self.means.segment.fill_(self.segments)

    def predict(self, x: Tensor) -> Tensor:
        """The logits (B, C) of the average; before the end of the training those of the network."""
        logits: Tensor = (self.average if self.means.segment == self.segments else self.net)(x)
        return logits
