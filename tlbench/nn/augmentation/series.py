"""Views of time series (B, channels, time) and of vectors (B, D): noise, and a factor for each channel."""

from __future__ import annotations

import math

import torch
from torch import Tensor

SEEDS = 2**24
"""The seeds of noise are whole numbers below this one, which float32 holds exactly."""
_MULTIPLIERS = (-0x40A7B892E31B1A47, -0x6B2FB644ECCEEE15)
"""Those of SplitMix64, 0xBF58476D1CE4E5B9 and 0x94D049BB133111EB, as signed integers."""


def jittered(x: Tensor, seed: Tensor, sigma: float) -> Tensor:
    """Samples with Gaussian noise.

    Args:
        x: float samples (B, ...).
        seed: of the noise of each sample (B,), whole numbers below `SEEDS`.
        sigma: the standard deviation of the noise.
    """
    return x + sigma * noise(seed, math.prod(x.shape[1:])).view(x.shape)


def scaled(x: Tensor, factor: Tensor) -> Tensor:
    """Series (B, channels, time) times a factor for each channel (B, channels)."""
    return x * factor[:, :, None]


def noise(seed: Tensor, count: int) -> Tensor:
    """Standard normal numbers (B, count) that follow from a seed (B,) alone, the same on every device up to rounding.

    Each number comes from its position and the seed by the finaliser of SplitMix64 (Steele, Lea and Flood, Fast splittable
    pseudorandom number generators, OOPSLA 2014, https://doi.org/10.1145/2660193.2660195) and the transform of Box and Muller,
    so that no noise is stored and no generator of the device is touched.
    """
    position = torch.arange(count, device=seed.device)
    bits = _mixed(_mixed(seed.long()[:, None] + 1) + position)
    uniform, angle = (((bits >> shift) & (2**24 - 1)).float() + 0.5 for shift in (40, 8))
    return (-2 * (uniform / 2**24).log()).sqrt() * (angle * (2 * math.pi / 2**24)).cos()


def _mixed(bits: Tensor) -> Tensor:
    """Integers of 64 bits, each of whose bits depends on all bits of the input; products wrap around."""
    for shift, multiplier in zip((30, 27), _MULTIPLIERS, strict=True):
        bits = (bits ^ _shifted(bits, shift)) * multiplier
    return bits ^ _shifted(bits, 31)


def _shifted(bits: Tensor, shift: int) -> Tensor:
    """Bits shifted to the right, with zeros on the left also for negative integers."""
    return (bits >> shift) & (2 ** (64 - shift) - 1)
