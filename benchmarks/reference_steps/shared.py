"""What the reference steps share: rows drawn by index, the network, and a step of fused Adam."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from benchmarks.reference_loop import lenet, order

WIDTH, CLASSES, MAP = 500, 10, 1024
CHUNK = 512
"""Rows of a forward outside the steps."""
AFTER = ("adabn", "tent")
"""Methods whose own work comes after the training on the source; it needs batch normalisation, and so their LeNet has it."""


@dataclass(frozen=True)
class Split:
    """The rows of one part: uint8 images (N, 1, 28, 28), their classes (N,) or none (0,), and a seed for the draws."""

    x: Tensor
    y: Tensor
    batch: int
    seed: int

    def order(self, steps: int) -> Tensor:
        """Row numbers (steps, batch)."""
        return order(len(self.x), steps, self.batch, self.seed)

    def labelled(self, steps: int) -> Iterator[tuple[Tensor, Tensor]]:
        return ((self.x.index_select(0, samples), self.y[samples]) for samples in self.order(steps))

    def unlabelled(self, steps: int) -> Iterator[Tensor]:
        return (self.x.index_select(0, samples) for samples in self.order(steps))


@dataclass(frozen=True)
class Data:
    """What a method may be granted."""

    source: Split
    target: Split
    target_labeled: Split


def images(*stored: Tensor) -> Tensor:
    """Stored images, one batch after the other -> network inputs."""
    return torch.cat(stored).to(torch.float32, memory_format=torch.channels_last).mul_(2 / 255).sub_(1)


class Net(nn.Module):
    """Backbone, head, and what a method needs beside them; parameters and buffers in the order of `start`."""

    map_features: Tensor
    map_shares: Tensor

    def __init__(self, method: str, start: Iterable[Tensor]) -> None:
        super().__init__()
        if method == "cdan":
            self.register_buffer("map_features", torch.empty(WIDTH, MAP))
            self.register_buffer("map_shares", torch.empty(CLASSES, MAP))
        self.backbone = normed_lenet() if method in AFTER else lenet()
        self.head = nn.Linear(WIDTH, CLASSES)
        self.extra = extra(method)
        for mine, given in zip(self.state_dict().values(), start, strict=True):
            mine.copy_(given)
        self.to(memory_format=torch.channels_last)

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.head(self.backbone(x))
        return logits


def normed_lenet() -> nn.Module:
    return nn.Sequential(
        *(nn.Conv2d(1, 20, 5), nn.BatchNorm2d(20), nn.MaxPool2d(2), nn.ReLU()),
        *(nn.Conv2d(20, 50, 5), nn.BatchNorm2d(50), nn.MaxPool2d(2), nn.ReLU()),
        *(nn.Flatten(), nn.Linear(800, WIDTH), nn.BatchNorm1d(WIDTH), nn.ReLU()),
    )


def extra(method: str) -> nn.Module:
    if method == "cdan":
        return nn.Sequential(nn.Linear(MAP, 256), nn.ReLU(), nn.Linear(256, 256), nn.ReLU(), nn.Linear(256, 1))
    if method == "mean_teacher":
        return nn.Sequential(lenet(), nn.Linear(WIDTH, CLASSES))
    second_head = {"mcd", "multi_task", "pcgrad", "linear_probe"}
    return nn.Linear(WIDTH, CLASSES) if method in second_head else nn.Identity()


Result = tuple[list[Tensor], Callable[[Tensor], Tensor]]
"""The loss of each step, and what predicts afterwards: network inputs -> logits."""


def adam(*modules: nn.Module) -> torch.optim.Optimizer:
    return torch.optim.Adam([p for module in modules for p in module.parameters()], lr=1e-3, fused=True)


def update(optimizer: torch.optim.Optimizer, loss: Tensor) -> Tensor:
    optimizer.zero_grad(set_to_none=True)
    loss.backward()
    optimizer.step()
    return loss.detach()
