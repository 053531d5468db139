"""SWAD: the mean of the weights of all steps within a valley of the loss on held-out samples of the sources.

Cha et al., SWAD: domain generalization by seeking flat minima, NeurIPS 2021. https://arxiv.org/abs/2102.08604
"""

from __future__ import annotations

import copy
import itertools

import torch
from pydantic import Field
from torch import Tensor

from tlbench.methods.base import DeepMethod, Group, Passes, Phase
from tlbench.methods.domain_generalization._valley import averaged_segments
from tlbench.terms import Step

HASH_FACTOR, HASH_RANGE = 2654435761, 2**32
"""Multiplicative hashing of the indices of samples (Knuth, The art of computer programming, volume 3)."""


class SWAD(DeepMethod):
    """`source_only` on a part of the source samples; the loss on the others says which steps are averaged.

    The steps are divided into segments, whose mean weights are stored, as many copies of the network as there are segments. As
    in the authors' code, the average begins where the loss has not fallen for `converge` segments, and ends where all of
    `tolerance` segments are above a threshold. Statistics of batch normalisation are averaged as the weights are. Sources are
    not told apart.
    """

    reads = frozenset({"source"})
    soft_labels = True
    segments: int = Field(20, ge=2, description="of the training, after each of which the loss is computed")
    converge: int = Field(3, ge=1, description="segments of which the first has the lowest loss where the average begins")
    tolerance: int = Field(6, ge=1, description="segments that are all above the threshold where the average ends")
    ratio: float = Field(0.3, ge=0, description="the threshold is 1 + ratio times the mean loss where the average begins")
    held_out: float = Field(0.2, gt=0, lt=1, description="share of the source samples on which the loss is computed")

    def build(self) -> None:
        """Create the average network, the means (R, P) of R segments over the P numbers of the network, and their losses."""
        self.average = copy.deepcopy(self.net)
        numbers = sum(tensor.numel() for tensor in self.state(self.net))
        self.register_buffer("mean_RP", torch.zeros(self.segments, numbers))
        self.register_buffer("loss_R", torch.zeros(self.segments))
        self.register_buffer("steps_R", torch.zeros(self.segments))
        self.register_buffer("segment", torch.full((), -1))

    mean_RP: Tensor
    loss_R: Tensor
    steps_R: Tensor
    segment: Tensor

    def phases(self) -> tuple[Phase, ...]:
        """The training, interrupted before each segment, and a pass that ends the last segment and averages."""
        groups = (Group((self.net,)),)
        training = Phase(self.loss, self.reads, groups=groups, begin=self.next_segment, rounds=self.segments, after=self.follow)
        return training, Phase(None, frozenset(), 0.0, groups, begin=self.finish, passes=self.reads)

    def loss(self, step: Step) -> Tensor:
        """The cross-entropy of the samples that are not held out, a scalar."""
        learned_B = ~self.is_held_out(step.indices["source"])
        losses_B = self.criterion(self.net(step.source.x), step.source.y, "none")
        loss: Tensor = (learned_B * losses_B).sum() / learned_B.sum().clamp_min(1)
        return loss

    def is_held_out(self, indices: Tensor) -> Tensor:
        """Which of the source samples of some indices (B,) are held out."""
        return indices * HASH_FACTOR % HASH_RANGE < self.held_out * HASH_RANGE

    def follow(self, progress: float) -> None:
        """Move the mean of the segment towards the network after a step."""
        number = self.segment[None]
        self.steps_R.index_add_(0, number, torch.ones_like(self.steps_R[:1]))
        mean_P, steps = self.mean_RP.index_select(0, number), self.steps_R.index_select(0, number)
        current_P = torch.cat([tensor.flatten() for tensor in self.state(self.net)])
        self.mean_RP.index_copy_(0, number, mean_P.lerp(current_P[None], 1 / steps[:, None]))

    def next_segment(self, passes: Passes) -> None:
        """End a segment, if there is one, by the loss on held-out samples, and begin the next."""
        if self.segment >= 0:
            held_out_N = self.is_held_out(torch.arange(len(passes.labels("source")), device=self.segment.device))
            losses_N = self.criterion(passes.map("source", self.net), passes.labels("source"), "none")
            self.loss_R[self.segment] = losses_N[held_out_N].mean()
        self.segment += 1

    def finish(self, passes: Passes) -> None:
        """End the last segment, and put the mean of the valley into the average network."""
        self.next_segment(passes)
        losses = self.loss_R[: int(self.segment)].tolist()
        mean_P = self.mean_RP[averaged_segments(losses, self.converge, self.tolerance, self.ratio)].mean(dim=0)
        with torch.no_grad():
            start = 0
            for tensor in self.state(self.average):
                tensor.copy_(mean_P[start : start + tensor.numel()].view_as(tensor))
                start += tensor.numel()
        self.segment.fill_(self.segments)

    @staticmethod
    def state(net: torch.nn.Module) -> list[Tensor]:
        """The parameters and the statistics of a network, without integer counters."""
        return [tensor for tensor in itertools.chain(net.parameters(), net.buffers()) if tensor.is_floating_point()]

    def predict(self, x: Tensor) -> Tensor:
        """The logits (B, C) of the average; before the end of the training those of the network."""
        logits: Tensor = (self.average if self.segment == self.segments else self.net)(x)
        return logits
