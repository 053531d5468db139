"""Training steps in plain torch, written as an expert would. Nothing of tlbench is imported here.

Two networks: LeNet (20, 50, 500) on images that stay on the device as uint8 and are drawn by index, and a linear head on
features that a frozen backbone has made. Four losses: source only, DANN (a discriminator of two hidden layers of 256, gradient
reversal), Deep CORAL and MCC. One forward for source and target, fused Adam; the losses are read once, at the end.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
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


def lenet() -> nn.Module:
    return nn.Sequential(
        *(nn.Conv2d(1, 20, 5), nn.MaxPool2d(2), nn.ReLU()),
        *(nn.Conv2d(20, 50, 5), nn.MaxPool2d(2), nn.ReLU()),
        *(nn.Flatten(), nn.Linear(800, 500), nn.ReLU()),
    )


class Model(nn.Module):
    def __init__(
        self,
        start: Iterable[Tensor],
        channels_last: bool,
        *,
        backbone: Callable[[], nn.Module] = lenet,
        width: int = 500,
        discriminator: bool = True,
    ) -> None:
        super().__init__()
        self.backbone = backbone()
        self.head = nn.Linear(width, 10)
        self.discriminator = nn.Sequential(nn.Linear(width, 256), nn.ReLU(), nn.Linear(256, 256), nn.ReLU(), nn.Linear(256, 1))
        if not discriminator:
            del self.discriminator
        with torch.no_grad():
            for mine, given in zip(self.parameters(), start, strict=True):
                mine.copy_(given)
        if channels_last:
            self.to(memory_format=torch.channels_last)


def order(samples: int, steps: int, batch: int, seed: int) -> Tensor:
    """Row numbers (steps, batch): one permutation after the other."""
    source = torch.Generator().manual_seed(seed)
    passes = [torch.randperm(samples, generator=source) for _ in range(-(-steps * batch // samples))]
    return torch.cat(passes)[: steps * batch].view(steps, batch)


def ramp(progress: float) -> float:
    """How much of the gradient is reversed."""
    return 2 / (1 + math.exp(-10 * progress)) - 1


def dann(model: Model, features: Tensor, batch: int, progress: float, is_source: Tensor) -> Tensor:
    domain = model.discriminator(reverse(features, ramp(progress))).squeeze(1)
    return F.binary_cross_entropy_with_logits(domain, is_source)


def coral(model: Model, features: Tensor, batch: int, progress: float, is_source: Tensor) -> Tensor:
    difference = torch.cov(features[:batch].T) - torch.cov(features[batch:].T)
    return difference.square().sum() / (4 * features.shape[1] ** 2)


def mcc(model: Model, features: Tensor, batch: int, progress: float, is_source: Tensor) -> Tensor:
    logits = model.head(features[batch:]) / 2.5
    share, logs = logits.softmax(1), logits.log_softmax(1)
    weight = 1 + (share * logs).sum(1).exp()
    weight = (batch * weight / weight.sum()).detach()
    vmapped = share.T @ (weight[:, None] * share)
    vmapped = vmapped / vmapped.sum(1, keepdim=True)
    return (vmapped.sum() - vmapped.trace()) / len(vmapped)


TERMS = {"dann": dann, "coral": coral, "mcc": mcc}
"""What each method adds to the loss of source_only."""


def train(
    model: Model,
    source: tuple[Tensor, Tensor],
    target: Tensor,
    seeds: tuple[int, int],
    *,
    steps: int,
    batch: int,
    channels_last: bool,
    method: str = "dann",
) -> list[float]:
    """Train in place from images (N, 1, 28, 28) as uint8 or features (N, D); the loss of every step."""
    source_x, source_y = source
    term = TERMS.get(method)
    source_indices = order(len(source_x), steps, batch, seeds[0])
    target_indices = order(len(target), steps, batch, seeds[1]) if term else source_indices
    layout = torch.channels_last if channels_last else torch.contiguous_format
    is_source = torch.cat([torch.ones(batch), torch.zeros(batch)])
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3, fused=True)
    losses = torch.empty(steps)
    model.train()
    for step in range(steps):
        drawn = source_indices[step]
        x = source_x.index_select(0, drawn)
        if term:
            x = torch.cat([x, target.index_select(0, target_indices[step])])
        if x.dtype == torch.uint8:
            x = x.to(torch.float32, memory_format=layout).mul_(2 / 255).sub_(1)
        features = model.backbone(x)
        loss = F.cross_entropy(model.head(features[:batch]), source_y[drawn])
        if term:
            loss = loss + term(model, features, batch, step / steps, is_source)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
        losses[step] = loss.detach()
    return losses.tolist()
