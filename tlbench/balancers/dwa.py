"""Dynamic weight average: the loss that falls more slowly gets more weight.

Liu, Johns and Davison, End-to-end multi-task learning with attention, CVPR 2019. https://arxiv.org/abs/1803.10704
"""

from __future__ import annotations

import torch
from torch import Tensor

from tlbench.balancers.base import LossBalancer, check_range


class Dwa(LossBalancer):
    """Weights K softmax(r_i / temperature), with r_i the mean loss of one window of steps over that of the window before.

    The paper's window is an epoch; here it is a number of steps, for suites have a budget of steps. Weights are 1 in the first
    two windows. Temperature 2 is the paper's.
    """

    sums: Tensor
    counts: Tensor
    means: Tensor
    steps: Tensor

    def __init__(self, tasks: int, *, temperature: float = 2.0, window: int = 50) -> None:
        super().__init__(tasks)
        check_range("temperature", temperature, 1e-3)
        check_range("window", window, 1)
        self.temperature, self.window = temperature, window
        self.register_buffer("sums", torch.zeros(tasks))
        self.register_buffer("counts", torch.zeros(tasks))
        self.register_buffer("means", torch.ones(2, tasks))  # of the last window, and of the one before
        self.register_buffer("steps", torch.zeros((), dtype=torch.int64))

    def loss(self, losses_K: Tensor, present_K: Tensor) -> Tensor:
        """The weighted sum; the losses are added to the mean of the window."""
        ratios_K = self.means[0] / self.means[1].clamp_min(1e-12)
        weights_K = self.tasks * torch.softmax(ratios_K / self.temperature, dim=0)
        weights_K = torch.where(self.steps < 2 * self.window, 1.0, weights_K)
        with torch.no_grad():
            sums_K, counts_K = self.sums + losses_K.detach(), self.counts + present_K
            self.steps += 1
            ends = self.steps % self.window == 0
            latest_K = torch.where(counts_K > 0, sums_K / counts_K.clamp_min(1), self.means[0])
            self.means.copy_(torch.where(ends, torch.stack([latest_K, self.means[0]]), self.means))
            self.sums.copy_(torch.where(ends, 0.0, sums_K))
            self.counts.copy_(torch.where(ends, 0.0, counts_K))
        return (weights_K.detach() * losses_K).sum()
