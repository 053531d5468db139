"""Stored rows -> what a network takes, and the batches of a step: all on the device, drawn by index."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor

from tlbench.engine.data.storage import Subset
from tlbench.engine.runtime.seeds import generator
from tlbench.suite import Network

CHUNK = 512
"""Rows of a forward outside the steps."""
CHUNK_BYTES = 8 * 2**20
"""Of its inputs, at most: all 512 of small images, and fewer of larger ones, whose activations would fill the memory."""


class Inputs:
    """uint8 or float rows -> float32: images as (x - mean) / std with x in [0, 1], vectors as they are."""

    def __init__(self, net: Network, channels_last: bool) -> None:
        self.shift, self.scale = -net.mean / net.std, 1 / net.std
        self.layout = torch.channels_last if channels_last else torch.contiguous_format

    def __call__(self, x: Tensor) -> Tensor:
        """Rows (B, ...) -> float32 (B, ...), images in the layout of the network."""
        if x.ndim != 4:
            return x.float()
        scale = self.scale / 255 if x.dtype == torch.uint8 else self.scale
        return (
            x.to(torch.float32, memory_format=self.layout).mul_(scale).add_(self.shift)
            if x.dtype == torch.uint8
            else (x.mul(scale).add_(self.shift).contiguous(memory_format=self.layout))
        )


def draw(rows: int, steps: int, batch: int, seed: int, device: torch.device) -> Tensor:
    """Row numbers of every step (steps, batch): one random permutation of the rows after the other.

    Drawn ahead and on the CPU: the same on every device, and no step waits for it.
    """
    need = steps * batch
    repeats = -(-need // rows)
    source = generator(seed)
    if repeats > 64:  # few rows: all permutations at once
        order = torch.rand(repeats, rows, generator=source).argsort(dim=1).flatten()
    else:
        order = torch.cat([torch.randperm(rows, generator=source) for _ in range(repeats)])
    return order[:need].view(steps, batch).to(device)


def in_chunks(function: Callable[[Tensor], Tensor], rows: Tensor | Subset, inputs: Inputs, size: int) -> Tensor:
    """`function` over all rows, `size` at a time (fewer of large ones), without gradients."""
    shape = rows.store.shape if isinstance(rows, Subset) else tuple(rows.shape[1:])
    size = max(1, min(size, CHUNK_BYTES // (4 * math.prod(shape) or 1)))
    with torch.no_grad():
        return torch.cat([function(inputs(x)) for x in (rows.chunks(size) if isinstance(rows, Subset) else rows.split(size))])
