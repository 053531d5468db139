"""The mean of a network's weights over the steps of each segment of a training, and a part of the samples by hashing."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from tlbench.nn.net import floating_state

HASH_FACTOR, HASH_RANGE = 2654435761, 2**32
"""Multiplicative hashing (Knuth, The art of computer programming, volume 3)."""


def hashed_positions(indices: Tensor) -> Tensor:
    """The indices (B,) of samples as positions in [0, 1), spread evenly, the same at any time."""
    return indices * HASH_FACTOR % HASH_RANGE / HASH_RANGE


class SegmentMeans(nn.Module):
    """The means (R, P) of R segments over the P parameters and statistics of a network, without integer counters.

    Args:
        net: the network.
        segments: R.
    """

    def __init__(self, net: nn.Module, segments: int) -> None:
        super().__init__()
        numbers = sum(tensor.numel() for tensor in floating_state(net))
        self.register_buffer("mean_RP", torch.zeros(segments, numbers))
        self.register_buffer("loss_R", torch.zeros(segments))
        self.register_buffer("steps_R", torch.zeros(segments))
        self.register_buffer("segment", torch.full((), -1))

    mean_RP: Tensor
    loss_R: Tensor
    """The loss at the end of each segment."""
    steps_R: Tensor
    segment: Tensor
    """The index of the segment that runs, a scalar; R after the last, -1 before the first."""

    def follow(self, net: nn.Module) -> None:
        """Move the mean of the segment towards the network after a step."""
        number = self.segment[None]
        self.steps_R.index_add_(0, number, torch.ones_like(self.steps_R[:1]))
        mean_P, steps = self.mean_RP.index_select(0, number), self.steps_R.index_select(0, number)
        current_P = torch.cat([tensor.flatten() for tensor in floating_state(net)])
        self.mean_RP.index_copy_(0, number, mean_P.lerp(current_P[None], 1 / steps[:, None]))

    @torch.no_grad()
    def put_mean(self, segments: Sequence[int], net: nn.Module) -> None:
        """Put the mean of some segments into a network."""
        tensors = floating_state(net)
        mean_P = self.mean_RP[list(segments)].mean(dim=0)
        for tensor, numbers in zip(tensors, mean_P.split([tensor.numel() for tensor in tensors]), strict=True):
            tensor.copy_(numbers.view_as(tensor))
