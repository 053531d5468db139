"""Shifts of time series (N, channels, time): another place of the sensor, another pace, a zero that wanders."""

from __future__ import annotations

from typing import Any

import numpy as np

from tlbench.data.decoding.arrays import Array
from tlbench.data.shifts.common import Finite, Labels, NotNegative, Positive, series_of
from tlbench.errors import TlbenchError


def sensor_rotation(x: Any, y: Labels, rng: np.random.Generator, *, degrees: Finite) -> tuple[Array, Labels]:
    """Turn sensors of three axes by `degrees` about one random axis, as a phone that sits otherwise in its pocket.

    Channels are taken three by three (x, y, z of one sensor after the other); all turn together.
    """
    x = series_of(x, "sensor_rotation")
    count, channels, time = x.shape
    if channels % 3:
        raise TlbenchError(f"sensor_rotation turns channels three by three (x, y, z of each sensor); there are {channels}")
    axis = rng.standard_normal(3)
    axis /= np.linalg.norm(axis)
    cross = np.array([[0, -axis[2], axis[1]], [axis[2], 0, -axis[0]], [-axis[1], axis[0], 0]])
    angle = np.radians(degrees)
    turn = np.eye(3) + np.sin(angle) * cross + (1 - np.cos(angle)) * cross @ cross  # Rodrigues
    turned = np.einsum("ij,nsjt->nsit", turn, x.reshape(count, channels // 3, 3, time))
    return turned.reshape(x.shape), y


def rate_change(x: Any, y: Labels, rng: np.random.Generator, *, factor: Positive) -> tuple[Array, Labels]:
    """Play each window at `factor` times its pace about its middle (linear between samples).

    What a faster window lacks at its ends is mirrored there, sample by sample; a slower one shows its middle only.
    """
    x = series_of(x, "rate_change")
    last = x.shape[2] - 1
    middle = last / 2
    at = middle + (np.arange(last + 1) - middle) * factor
    at = last - np.abs(last - at % (2 * last)) if last else np.zeros(1)
    before = np.floor(at).astype(np.int64)
    share = at - before
    return (1 - share) * x[:, :, before] + share * x[:, :, np.minimum(before + 1, last)], y


def drift(x: Any, y: Labels, rng: np.random.Generator, *, sigma: NotNegative) -> tuple[Array, Labels]:
    """Let the zero of each channel wander off in a straight line from the beginning to the end of each window.

    Where it ends is random for each window and channel, with `sigma` standard deviations of the channel as its spread.
    """
    x = series_of(x, "drift")
    spread = sigma * x.std(axis=(0, 2))[:, None]
    ends = rng.standard_normal((*x.shape[:2], 1))
    return x + spread * ends * np.linspace(0, 1, x.shape[2]), y
