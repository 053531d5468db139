"""The DANN step as script-style libraries write it: PIL images, torchvision transforms, a DataLoader for each domain.

It has two forwards, Adam with its defaults, and three reads of device values in each step for the log. The network is that of
reference_loop.py.
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
"""Batches that two workers prefetch: they are taken before the time starts, and left over when it stops."""


class Images(Dataset[tuple[Tensor, int]]):
    """Samples from an array, as in torchvision's MNIST, or (`encoded`) from PNG files, as in an image folder.

    The files are in memory, so that no disk is read.
    """

    def __init__(self, x: Tensor, y: Tensor, encoded: bool) -> None:
        self.arrays = x[:, 0].numpy()
        self.files = [encode_png(array) for array in self.arrays] if encoded else None
        self.labels = y.tolist()
        self.transform = transforms.Compose([transforms.ToTensor(), transforms.Normalize((0.5,), (0.5,))])

    def __len__(self) -> int:
        return len(self.arrays)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        if self.files is None:
            image = Image.fromarray(self.arrays[index])
        else:
            image = Image.open(io.BytesIO(self.files[index])).convert("L")
        return self.transform(image), self.labels[index]


def encode_png(image: npt.NDArray[np.uint8]) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, "PNG")
    return buffer.getvalue()


class Script:
    """A training that is ready to start: its loaders are running, and the prefetched batches are taken.

    Args:
        model: the network, which is trained in place.
        source: images with labels.
        target: images whose labels are not read.
        seeds: of the batches of source and target.
        steps: training steps.
        batch: samples of each domain in a batch.
        workers: processes of each DataLoader; 0 decodes in this process.
    """

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
            indices = order(len(images), steps + 2 * ahead, batch, seed).tolist()
            self._loaders.append(iter(DataLoader(images, batch_sampler=indices, num_workers=workers)))
        for loader in self._loaders:
            for _ in range(ahead):
                next(loader)

    def train(self) -> list[float]:
        """Train, and return the loss of every step."""
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
            accuracy = (logits.argmax(1) == source_y).float().mean()
            log.append((loss.item(), domain.item(), accuracy.item()))
        return [loss for loss, _, _ in log]
