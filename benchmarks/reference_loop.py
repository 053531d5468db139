"""Training loops in plain torch, as an expert writes them. This module imports nothing of tlbench.

There are two networks: LeNet (20, 50, 500) on images that stay on the device as uint8 and are drawn by index, and a linear
head on the features of a frozen backbone. There are four losses: source only, DANN (a discriminator with two hidden layers of
256, and gradient reversal), Deep CORAL and MCC. Source and target share one forward, Adam is fused, and losses are read once,
at the end.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class Reverse(torch.autograd.Function):
    """The identity, whose gradient is multiplied by -k."""

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
    """Images (B, 1, 28, 28) -> features (B, 500)."""
    return nn.Sequential(
        *(nn.Conv2d(1, 20, 5), nn.MaxPool2d(2), nn.ReLU()),
        *(nn.Conv2d(20, 50, 5), nn.MaxPool2d(2), nn.ReLU()),
        *(nn.Flatten(), nn.Linear(800, 500), nn.ReLU()),
    )


class Model(nn.Module):
    """Backbone, head and, for DANN, a discriminator, with given initial parameters.

    Args:
        initial: the initial parameters, in the order of `parameters()`.
        channels_last: the memory format of the convolutions.
        backbone: makes the backbone.
        width: features D of the backbone.
        discriminator: whether there is one.
    """

    def __init__(
        self,
        initial: Iterable[Tensor],
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
            for parameter, value in zip(self.parameters(), initial, strict=True):
                parameter.copy_(value)
        if channels_last:
            self.to(memory_format=torch.channels_last)


def order(samples: int, steps: int, batch: int, seed: int) -> Tensor:
    """Sample indices (steps, batch): one random permutation of the samples after the other."""
    generator = torch.Generator().manual_seed(seed)
    epochs = [torch.randperm(samples, generator=generator) for _ in range(-(-steps * batch // samples))]
    return torch.cat(epochs)[: steps * batch].view(steps, batch)


def ramp(progress: float) -> float:
    """The factor of the reversed gradient, from 0 to 1 (Ganin et al. 2016, https://jmlr.org/papers/v17/15-239.html)."""
    return 2 / (1 + math.exp(-10 * progress)) - 1


def dann(model: Model, features: Tensor, batch: int, progress: float, is_source: Tensor) -> Tensor:
    """The domain loss of features (2B, D), source first."""
    domain = model.discriminator(reverse(features, ramp(progress))).squeeze(1)
    return F.binary_cross_entropy_with_logits(domain, is_source)


def coral(model: Model, features: Tensor, batch: int, progress: float, is_source: Tensor) -> Tensor:
    """The squared Frobenius distance of the covariances of features (2B, D), over 4 D^2."""
    difference = torch.cov(features[:batch].T) - torch.cov(features[batch:].T)
    return difference.square().sum() / (4 * features.shape[1] ** 2)


def mcc(model: Model, features: Tensor, batch: int, progress: float, is_source: Tensor) -> Tensor:
    """The share of class confusion outside the diagonal, for target features at temperature 2.5."""
    logits = model.head(features[batch:]) / 2.5
    probabilities, log_probabilities = logits.softmax(1), logits.log_softmax(1)
    weight = 1 + (probabilities * log_probabilities).sum(1).exp()
    weight = (batch * weight / weight.sum()).detach()
    confusion = probabilities.T @ (weight[:, None] * probabilities)
    confusion = confusion / confusion.sum(1, keepdim=True)
    return (confusion.sum() - confusion.trace()) / len(confusion)


TERMS = {"dann": dann, "coral": coral, "mcc": mcc}
"""The term that each method adds to the loss of source_only."""


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
    """Train a model in place, and return the loss of every step.

    Args:
        model: the model.
        source: uint8 images (N, 1, 28, 28) or float32 features (N, D), and classes (N,).
        target: images or features alike.
        seeds: of the batches of source and target.
        steps: training steps.
        batch: samples of each domain in a batch.
        channels_last: the memory format of the images.
        method: `source_only` or one of `TERMS`.
    """
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
        indices = source_indices[step]
        x = source_x.index_select(0, indices)
        if term:
            x = torch.cat([x, target.index_select(0, target_indices[step])])
        if x.dtype == torch.uint8:
            x = x.to(torch.float32, memory_format=layout).mul_(2 / 255).sub_(1)
        features = model.backbone(x)
        loss = F.cross_entropy(model.head(features[:batch]), source_y[indices])
        if term:
            loss = loss + term(model, features, batch, step / steps, is_source)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
        losses[step] = loss.detach()
    return losses.tolist()
