"""Stored samples -> network inputs, and the sample indices that each step draws."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor

from tlbench.engine.data.storage import Subset
from tlbench.engine.runtime.seeds import generator
from tlbench.errors import TlbenchError
from tlbench.suite import Network

CHUNK_SAMPLES = 512
"""Samples of a forward outside the steps, at most."""
CHUNK_BYTES = 8 * 2**20
"""Bytes of its inputs, at most: 512 small images, and fewer large ones, whose activations would fill the memory."""


def check_channels(net: Network, shape: tuple[int, ...]) -> None:
    """Check that `net.mean` and `net.std` have one number, or one for each channel of images of a shape.

    Raises:
        TlbenchError: they have another number of values.
    """
    for key, value in (("mean", net.mean), ("std", net.std)):
        if isinstance(value, tuple) and len(shape) == 3 and len(value) != shape[0]:
            raise TlbenchError(
                f"net.{key} has {len(value)} values, and the images have {shape[0]} channels. Give one number, or one for each "
                "channel."
            )


class Inputs:
    """uint8 or float samples -> float32: images as (x - mean) / std with x in [0, 1], vectors as they are. Token ids stay."""

    def __init__(self, net: Network, channels_last: bool) -> None:
        self.net = net
        self.layout = torch.channels_last if channels_last else torch.contiguous_format
        self._constants: dict[tuple[torch.device, torch.dtype, int], tuple[float | Tensor, float | Tensor]] = {}

    def __call__(self, x: Tensor) -> Tensor:
        """Samples (B, ...) -> float32 (B, ...), images in the memory layout of the network."""
        if x.ndim != 4:
            return x if x.dtype == torch.int32 else x.float()  # token ids stay whole
        if (key := (x.device, x.dtype, x.shape[1])) not in self._constants:
            self._constants[key] = self._scale_and_shift(x)
        scale, shift = self._constants[key]
        return (
            x.to(torch.float32, memory_format=self.layout).mul_(scale).add_(shift)
            if x.dtype == torch.uint8
            else (x.mul(scale).add_(shift).contiguous(memory_format=self.layout))
        )

    def _scale_and_shift(self, x: Tensor) -> tuple[float | Tensor, float | Tensor]:
        """What images are multiplied by, and what is then added: numbers, or float32 (channels, 1, 1) on their device."""
        mean, std, largest = self.net.mean, self.net.std, 255 if x.dtype == torch.uint8 else 1
        if isinstance(mean, float) and isinstance(std, float):
            return 1 / std / largest, -mean / std
        check_channels(self.net, tuple(x.shape[1:]))
        means = mean if isinstance(mean, tuple) else (mean,) * x.shape[1]
        deviations = std if isinstance(std, tuple) else (std,) * x.shape[1]
        scale = torch.tensor([1 / s / largest for s in deviations], device=x.device)[:, None, None]
        shift = torch.tensor([-m / s for m, s in zip(means, deviations, strict=True)], device=x.device)[:, None, None]
        return scale, shift


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


def chunks_of(samples: int, shape: tuple[int, ...], chunk: int) -> list[int]:
    """The sizes of chunks of N samples of a shape: `chunk` samples, and fewer where their inputs exceed `CHUNK_BYTES`."""
    return chunk_sizes(samples, max(2, min(chunk, CHUNK_BYTES // (4 * math.prod(shape) or 1))))


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
    sizes = chunks_of(len(samples), shape, chunk)
    with torch.no_grad():
        chunks = samples.chunks(sizes) if isinstance(samples, Subset) else samples.split(sizes)
        return torch.cat([function(inputs(x)) for x in chunks])
