"""Stored samples -> network inputs, and the sample indices that each step draws."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor

from tlbench.engine.data.storage import Subset
from tlbench.engine.runtime.seeds import generator
from tlbench.suite import Network

CHUNK_SAMPLES = 512
"""Samples of a forward outside the steps, at most."""
CHUNK_BYTES = 8 * 2**20
"""Bytes of its inputs, at most: 512 small images, and fewer large ones, whose activations would fill the memory."""


class Inputs:
    """uint8 or float samples -> float32: images as (x - mean) / std with x in [0, 1], vectors as they are."""

    def __init__(self, net: Network, channels_last: bool) -> None:
        self.shift, self.scale = -net.mean / net.std, 1 / net.std
        self.layout = torch.channels_last if channels_last else torch.contiguous_format

    def __call__(self, x: Tensor) -> Tensor:
        """Samples (B, ...) -> float32 (B, ...), images in the memory layout of the network."""
        if x.ndim != 4:
            return x.float()
        scale = self.scale / 255 if x.dtype == torch.uint8 else self.scale
        return (
            x.to(torch.float32, memory_format=self.layout).mul_(scale).add_(self.shift)
            if x.dtype == torch.uint8
            else (x.mul(scale).add_(self.shift).contiguous(memory_format=self.layout))
        )


def draw_batches(samples: int, steps: int, batch_size: int, seed: int, device: torch.device) -> Tensor:
    """Sample indices (steps, batch_size) of all steps: one random permutation of the samples after the other.

    They are drawn in advance and on the CPU: they are then the same on every device, and no step synchronises for them.

    Args:
        samples: number of samples N of the split; the indices lie in [0, N).
        steps: number of steps.
        batch_size: samples per step.
        seed: of the permutations.
        device: where the indices are stored.
    """
    draws = steps * batch_size
    epochs = -(-draws // samples)
    source = generator(seed)
    if epochs > 64:  # of few samples all permutations are drawn at once
        order = torch.rand(epochs, samples, generator=source).argsort(dim=1).flatten()
    else:
        order = torch.cat([torch.randperm(samples, generator=source) for _ in range(epochs)])
    return order[:draws].view(steps, batch_size).to(device)


def chunk_sizes(samples: int, chunk: int) -> list[int]:
    """The sizes of chunks of N samples; a last chunk of one sample joins the one before, for batch statistics need two."""
    sizes = [chunk] * (samples // chunk)
    rest = samples - sum(sizes)
    if rest == 1 and sizes:
        sizes[-1] += 1
    elif rest:
        sizes.append(rest)
    return sizes or [0]


def map_in_chunks(function: Callable[[Tensor], Tensor], samples: Tensor | Subset, inputs: Inputs, chunk: int) -> Tensor:
    """Apply a function to the network inputs of all samples, without gradients.

    Args:
        function: network inputs (B, ...) -> outputs (B, ...).
        samples: stored samples (N, ...).
        inputs: stored samples -> network inputs.
        chunk: samples of one call; fewer where their inputs exceed `CHUNK_BYTES`, and one more where one would be left over.

    Returns:
        The outputs (N, ...).
    """
    shape = samples.store.shape if isinstance(samples, Subset) else tuple(samples.shape[1:])
    sizes = chunk_sizes(len(samples), max(2, min(chunk, CHUNK_BYTES // (4 * math.prod(shape) or 1))))
    with torch.no_grad():
        chunks = samples.chunks(sizes) if isinstance(samples, Subset) else samples.split(sizes)
        return torch.cat([function(inputs(x)) for x in chunks])
