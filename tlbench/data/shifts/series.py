"""Shifts of time series (N, channels, time): another orientation of the sensor, another sampling rate, a drifting zero."""

from __future__ import annotations

from typing import Any

import numpy as np

from tlbench.data.decoding.arrays import Array
from tlbench.data.shifts.common import Finite, Labels, NotNegative, Positive, as_series
from tlbench.errors import TlbenchError


def sensor_rotation(x: Any, y: Labels, rng: np.random.Generator, *, degrees: Finite) -> tuple[Array, Labels]:
    """Rotate sensors of three axes by `degrees` about one random axis, like a phone that sits differently in its pocket.

    Channels are taken three at a time (x, y, z of one sensor after the other); all sensors rotate alike.
    """
    x = as_series(x, "sensor_rotation")
    count, channels, time = x.shape
    if channels % 3:
        raise TlbenchError(
            f"sensor_rotation needs a multiple of three channels (x, y, z of each sensor), and the samples have {channels}. "
            "Select the channels of sensors with three axes."
        )
    axis = rng.standard_normal(3)
    axis /= np.linalg.norm(axis)
    cross = np.array([[0, -axis[2], axis[1]], [axis[2], 0, -axis[0]], [-axis[1], axis[0], 0]])
    angle = np.radians(degrees)
    rotation = np.eye(3) + np.sin(angle) * cross + (1 - np.cos(angle)) * cross @ cross  # the formula of Rodrigues
    rotated = np.einsum("ij,nsjt->nsit", rotation, x.reshape(count, channels // 3, 3, time))
    return rotated.reshape(x.shape), y


def rate_change(x: Any, y: Labels, rng: np.random.Generator, *, factor: Positive) -> tuple[Array, Labels]:
    """Play each window at `factor` times its speed about its middle, with linear interpolation.

    A faster window is extended by mirroring at its ends; a slower one shows its middle only.
    """
    x = as_series(x, "rate_change")
    last = x.shape[2] - 1
    middle = last / 2
    at = middle + (np.arange(last + 1) - middle) * factor
    at = last - np.abs(last - at % (2 * last)) if last else np.zeros(1)
    before = np.floor(at).astype(np.int64)
    share = at - before
    return (1 - share) * x[:, :, before] + share * x[:, :, np.minimum(before + 1, last)], y


def drift(x: Any, y: Labels, rng: np.random.Generator, *, sigma: NotNegative) -> tuple[Array, Labels]:
    """Add to each channel an offset that grows linearly from 0 at the beginning of each window.

    Its final value is normal for each window and channel, with `sigma` standard deviations of the channel as its deviation.
    """
    x = as_series(x, "drift")
    spread = sigma * x.std(axis=(0, 2))[:, None]
    ends = rng.standard_normal((*x.shape[:2], 1))
    return x + spread * ends * np.linspace(0, 1, x.shape[2]), y
