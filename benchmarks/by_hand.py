"""The DANN step in plain torch, written by hand as an expert would. Nothing of tlbench is imported here.

LeNet (20, 50, 500), a domain discriminator of two hidden layers of 256, gradient reversal, fused Adam; the images stay on
the device as uint8 and are drawn by index; one forward for source and target; the losses are read once, at the end.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class Reverse(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, k: float) -> Tensor:
        ctx.k = k
        return x.view_as(x)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        return gradient * -ctx.k, None


def reverse(x: Tensor, k: float) -> Tensor:
    reversed_: Tensor = Reverse.apply(x, k)
    return reversed_


class Model(nn.Module):
    def __init__(self, start: Iterable[Tensor], channels_last: bool) -> None:
        super().__init__()
        self.trunk = nn.Sequential(
            *(nn.Conv2d(1, 20, 5), nn.MaxPool2d(2), nn.ReLU()),
            *(nn.Conv2d(20, 50, 5), nn.MaxPool2d(2), nn.ReLU()),
            *(nn.Flatten(), nn.Linear(800, 500), nn.ReLU()),
        )
        self.head = nn.Linear(500, 10)
        self.discriminator = nn.Sequential(nn.Linear(500, 256), nn.ReLU(), nn.Linear(256, 256), nn.ReLU(), nn.Linear(256, 1))
        with torch.no_grad():
            for mine, given in zip(self.parameters(), start, strict=True):
                mine.copy_(given)
        if channels_last:
            self.to(memory_format=torch.channels_last)


def order(rows: int, steps: int, batch: int, seed: int) -> Tensor:
    """Row numbers (steps, batch): one permutation after the other."""
    source = torch.Generator().manual_seed(seed)
    passes = [torch.randperm(rows, generator=source) for _ in range(-(-steps * batch // rows))]
    return torch.cat(passes)[: steps * batch].view(steps, batch)


def ramp(progress: float) -> float:
    """How much of the gradient is reversed."""
    return 2 / (1 + math.exp(-10 * progress)) - 1


def train(
    model: Model,
    source: tuple[Tensor, Tensor],
    target: Tensor,
    seeds: tuple[int, int],
    *,
    steps: int,
    batch: int,
    channels_last: bool,
) -> list[float]:
    """Train in place from images (N, 1, 28, 28) as uint8; the loss of every step."""
    source_x, source_y = source
    source_rows = order(len(source_x), steps, batch, seeds[0])
    target_rows = order(len(target), steps, batch, seeds[1])
    layout = torch.channels_last if channels_last else torch.contiguous_format
    is_source = torch.cat([torch.ones(batch), torch.zeros(batch)])
    optimiser = torch.optim.Adam(model.parameters(), lr=1e-3, fused=True)
    losses = torch.empty(steps)
    model.train()
    for step in range(steps):
        drawn = source_rows[step]
        images = torch.cat([source_x[drawn], target[target_rows[step]]])
        features = model.trunk(images.to(torch.float32, memory_format=layout).mul_(2 / 255).sub_(1))
        task = F.cross_entropy(model.head(features[:batch]), source_y[drawn])
        domain = model.discriminator(reverse(features, ramp(step / steps))).squeeze(1)
        loss = task + F.binary_cross_entropy_with_logits(domain, is_source)
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        optimiser.step()
        losses[step] = loss.detach()
    return losses.tolist()
