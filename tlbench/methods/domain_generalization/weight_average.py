"""Moving average of the weights: the network that is scored is the mean of the networks of all later steps.

Arpit, Wang, Zhou and Xiong, Ensemble of averages, NeurIPS 2022. https://arxiv.org/abs/2110.10832
Cha et al., SWAD: domain generalization by seeking flat minima, NeurIPS 2021. https://arxiv.org/abs/2102.08604
"""

from __future__ import annotations

import copy

import torch
from pydantic import Field
from torch import Tensor

from tlbench.methods.base import DeepMethod, Group, Phase
from tlbench.nn.net import floating_state


class WeightAverage(DeepMethod):
    """`source_only`, and the mean of its weights over all steps after `start`; sources are not told apart.

    Statistics of batch normalisation are averaged as the weights are. SWAD averages likewise, between two steps that a
    validation loss chooses.
    """

    reads = frozenset({"source"})
    soft_labels = True
    start: float = Field(0.1, ge=0, lt=1, description="progress from which weights are averaged; ERM++: 600 of 5,000 steps")

    def build(self) -> None:
        """Create the average as a copy of the network, and the number of steps that it holds beside the first."""
        self.average = copy.deepcopy(self.net)
        self.register_buffer("count", torch.zeros(()))

    count: Tensor

    def phases(self) -> tuple[Phase, ...]:
        """One phase: the network learns, and the average follows each step."""
        return (Phase(self.supervised, self.reads, groups=(Group((self.net,)),), after=self.follow),)

    def follow(self, progress: float) -> None:
        """Move the average by 1 / (count + 1) of the way to the network; before `start` all the way."""
        self.count.add_(progress >= self.start)
        for average, current in zip(floating_state(self.average), floating_state(self.net), strict=True):
            average.lerp_(current, 1 / (self.count + 1))

    def predict(self, x: Tensor) -> Tensor:
        """The logits (B, C) of the average."""
        logits: Tensor = self.average(x)
        return logits
