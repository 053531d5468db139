"""The pieces that the reference steps share: samples drawn by index, the network, and an update by fused Adam."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from benchmarks.reference_loop import lenet, order

WIDTH, BOTTLENECK, CLASSES, MAP = 500, 256, 10, 1024
CHUNK = 512
"""Samples of a forward outside the steps."""
SOURCE_FREE = ("shot_im", "shot", "nrc", "aad", "cowa")
"""Methods whose network has a bottleneck with batch normalisation, and a head of normalised weights."""
AFTER = ("adabn", "tent")
"""Methods that adapt after the training on the source."""
WITH_NORMS = (*AFTER, "safn")
"""Methods that need batch normalisation, so their LeNet has it."""


@dataclass(frozen=True)
class Split:
    """The samples of a split: uint8 images (N, 1, 28, 28), their classes (N,) or none (0,), and the seed of its batches."""

    x: Tensor
    y: Tensor
    batch: int
    seed: int

    def order(self, steps: int) -> Tensor:
        """The sample indices of all batches (steps, batch)."""
        return order(len(self.x), steps, self.batch, self.seed)

    def labelled(self, steps: int) -> Iterator[tuple[Tensor, Tensor]]:
        """Batches of images and classes."""
        return ((self.x.index_select(0, indices), self.y[indices]) for indices in self.order(steps))

    def unlabelled(self, steps: int) -> Iterator[Tensor]:
        """Batches of images."""
        return (self.x.index_select(0, indices) for indices in self.order(steps))


@dataclass(frozen=True)
class Data:
    """The splits that a method may be granted."""

    source: Split
    target: Split
    target_labeled: Split


def images(*stored: Tensor) -> Tensor:
    """Stored batches of images -> the network inputs of one forward."""
    return torch.cat(stored).to(torch.float32, memory_format=torch.channels_last).mul_(2 / 255).sub_(1)


class Net(nn.Module):
    """Backbone, head, and the modules that a method adds; parameters and buffers are copied from `initial`, in its order."""

    map_features: Tensor
    map_probabilities: Tensor

    def __init__(self, method: str, initial: Iterable[Tensor]) -> None:
        super().__init__()
        if method in ("cdan", "sdat"):
            self.register_buffer("map_features", torch.empty(WIDTH, MAP))
            self.register_buffer("map_probabilities", torch.empty(CLASSES, MAP))
        self.backbone = normalized_lenet() if method in WITH_NORMS else lenet()
        self.head = nn.Linear(WIDTH, CLASSES)
        if method in SOURCE_FREE:
            self.backbone = nn.Sequential(lenet(), nn.Linear(WIDTH, BOTTLENECK, bias=False), nn.BatchNorm1d(BOTTLENECK))
            self.head = NormalizedLinear(BOTTLENECK, CLASSES)
        self.extra = extra(method)
        for entry, value in zip(self.state_dict().values(), initial, strict=True):
            entry.copy_(value)
        self.to(memory_format=torch.channels_last)

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.head(self.backbone(x))
        return logits


class NormalizedLinear(nn.Linear):
    """A linear head whose class vectors have norms that are parameters of their own."""

    def __init__(self, width: int, classes: int) -> None:
        super().__init__(width, classes)
        self.norm = nn.Parameter(torch.ones(classes, 1))

    def forward(self, x: Tensor) -> Tensor:
        return F.linear(x, self.norm * F.normalize(self.weight), self.bias)


def normalized_lenet() -> nn.Module:
    """LeNet with batch normalisation."""
    return nn.Sequential(
        *(nn.Conv2d(1, 20, 5), nn.BatchNorm2d(20), nn.MaxPool2d(2), nn.ReLU()),
        *(nn.Conv2d(20, 50, 5), nn.BatchNorm2d(50), nn.MaxPool2d(2), nn.ReLU()),
        *(nn.Flatten(), nn.Linear(800, WIDTH), nn.BatchNorm1d(WIDTH), nn.ReLU()),
    )


def extra(method: str) -> nn.Module:
    """The module that a method adds: a discriminator, a teacher, a second head, or nothing."""
    if width := {"cdan": MAP, "sdat": MAP, "bsp": WIDTH, "vada": WIDTH, "toalign": CLASSES}.get(method):
        return nn.Sequential(nn.Linear(width, 256), nn.ReLU(), nn.Linear(256, 256), nn.ReLU(), nn.Linear(256, 1))
    if method == "codats":
        first, second = ((nn.Linear(WIDTH, 500, bias=False), nn.BatchNorm1d(500), nn.ReLU(), nn.Dropout(0.3)) for _ in range(2))
        return nn.Sequential(*first, *second, nn.Linear(500, 2))
    if method == "wdgrl":
        return nn.Sequential(nn.Linear(WIDTH, 100), nn.ReLU(), nn.Linear(100, 1, bias=False))
    if method == "mean_teacher":
        return nn.Sequential(lenet(), nn.Linear(WIDTH, CLASSES))
    if method in ("mdan", "darn"):
        return nn.Linear(WIDTH, 1)
    second_head = {"m3sda", "mcd", "mdd", "multi_task", "pcgrad", "linear_probe"}
    return nn.Linear(WIDTH, CLASSES) if method in second_head else nn.Identity()


Result = tuple[list[Tensor], Callable[[Tensor], Tensor]]
"""The loss of each step, and the predictor after them: network inputs -> logits."""


def adam(*modules: nn.Module) -> torch.optim.Optimizer:
    """Fused Adam over the parameters of the modules."""
    return torch.optim.Adam([p for module in modules for p in module.parameters()], lr=1e-3, fused=True)


def update(optimizer: torch.optim.Optimizer, loss: Tensor) -> Tensor:
    """One update; returns the detached loss."""
    optimizer.zero_grad(set_to_none=True)
    loss.backward()
    optimizer.step()
    return loss.detach()
