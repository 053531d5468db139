"""The DANN step as script-style libraries write it: PIL images, torchvision transforms, a DataLoader per domain.

Two forwards, Adam as it comes, and three host reads a step for the log line. The network is that of reference_loop.py.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor
from torch.utils.data import DataLoader, Dataset
from torchvision import transforms

from benchmarks.reference_loop import Model, order, ramp, reverse

AHEAD = 4
"""Batches that two workers keep ready: taken before the time starts and left over when it stops."""


class Images(Dataset[tuple[Tensor, int]]):
    """Rows as torchvision's MNIST gives them, from an array; or `encoded`, as an image folder does, from PNG files.

    The files are in memory: no disk is waited for.
    """

    def __init__(self, x: Tensor, y: Tensor, encoded: bool) -> None:
        self.arrays = x[:, 0].numpy()
        self.files = [png(array) for array in self.arrays] if encoded else None
        self.labels = y.tolist()
        self.transform = transforms.Compose([transforms.ToTensor(), transforms.Normalize((0.5,), (0.5,))])

    def __len__(self) -> int:
        return len(self.arrays)

    def __getitem__(self, entry: int) -> tuple[Tensor, int]:
        if self.files is None:
            image = Image.fromarray(self.arrays[entry])
        else:
            image = Image.open(io.BytesIO(self.files[entry])).convert("L")
        return self.transform(image), self.labels[entry]


def png(image: npt.NDArray[np.uint8]) -> bytes:
    out = io.BytesIO()
    Image.fromarray(image).save(out, "PNG")
    return out.getvalue()


class Script:
    """A training that is ready to go: loaders started, the first batches taken."""

    def __init__(
        self,
        model: Model,
        source: Images,
        target: Images,
        seeds: tuple[int, int],
        *,
        steps: int,
        batch: int,
        workers: int,
    ) -> None:
        self.model, self.steps, self.batch = model, steps, batch
        ahead = AHEAD if workers else 0
        self._loaders: list[Iterator[Any]] = []
        for images, seed in zip((source, target), seeds, strict=True):
            samples = order(len(images), steps + 2 * ahead, batch, seed).tolist()
            self._loaders.append(iter(DataLoader(images, batch_sampler=samples, num_workers=workers)))
        for loader in self._loaders:
            for _ in range(ahead):
                next(loader)

    def train(self) -> list[float]:
        optimizer = torch.optim.Adam(self.model.parameters(), lr=1e-3)
        self.model.train()
        log = []
        for step in range(self.steps):
            (source_x, source_y), (target_x, _) = (next(loader) for loader in self._loaders)
            source, target = self.model.backbone(source_x), self.model.backbone(target_x)
            logits = self.model.head(source)
            task = F.cross_entropy(logits, source_y)
            k = ramp(step / self.steps)
            of_source = self.model.discriminator(reverse(source, k)).squeeze(1)
            of_target = self.model.discriminator(reverse(target, k)).squeeze(1)
            domain = 0.5 * (
                F.binary_cross_entropy_with_logits(of_source, torch.ones_like(of_source))
                + F.binary_cross_entropy_with_logits(of_target, torch.zeros_like(of_target))
            )
            loss = task + domain
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            right = (logits.argmax(1) == source_y).float().mean()
            log.append((loss.item(), domain.item(), right.item()))
        return [loss for loss, _, _ in log]
