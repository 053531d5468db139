"""Shifts of vectors (N, D); series (N, channels, time) are treated as vectors of all their values."""

from __future__ import annotations

from typing import Annotated, Any

import numpy as np
from pydantic import Field

from tlbench.data.decoding.arrays import Array
from tlbench.data.shifts.common import Finite, Labels, Positive, Share, as_vectors, standardize
from tlbench.errors import TlbenchError


def scaling(x: Any, y: Labels, rng: np.random.Generator, *, factor: Positive) -> tuple[Array, Labels]:
    """Multiply all features by `factor`, like a sensor of another gain."""
    return as_vectors(x, "scaling") * np.float64(factor), y


def missing(x: Any, y: Labels, rng: np.random.Generator, *, share: Share) -> tuple[Array, Labels]:
    """Lose a random `share` of all values; each is filled with the mean of its feature over the values that remain."""
    x = as_vectors(x, "missing").astype(np.float64)
    lost = rng.random(x.shape) < share
    remaining = (~lost).sum(axis=0)
    mean = np.where(remaining > 0, np.where(lost, 0, x).sum(axis=0) / np.maximum(remaining, 1), x.mean(axis=0))
    return np.where(lost, mean, x), y


def subspace_shift(
    x: Any, y: Labels, rng: np.random.Generator, *, degrees: Finite, planes: Annotated[int, Field(ge=1)] | None = None
) -> tuple[Array, Labels]:
    """Rotate the space of the z-scored features by `degrees` in each of some random planes that share no direction.

    The samples keep their mean, and their distances from each other in z-scored units. By default there are as many `planes`
    as fit; constant features are left out.
    """
    x = as_vectors(x, "subspace_shift")
    z_ND, mean, std = standardize(x.reshape(len(x), -1))
    varying = np.flatnonzero(z_ND.any(axis=0))
    most = len(varying) // 2
    count = most if planes is None else planes
    if not 1 <= count <= most:
        raise TlbenchError(
            f"subspace_shift: planes = {max(count, 1)} needs {2 * max(count, 1)} features that vary, and the samples have "
            f"{len(varying)}. Ask for fewer planes."
        )
    basis, _ = np.linalg.qr(rng.standard_normal((len(varying), 2 * count)))
    angle = np.radians(degrees)
    within = z_ND[:, varying] @ basis
    first, second = within[:, 0::2], within[:, 1::2]
    rotated = np.empty_like(within)
    rotated[:, 0::2] = np.cos(angle) * first - np.sin(angle) * second
    rotated[:, 1::2] = np.sin(angle) * first + np.cos(angle) * second
    z_ND[:, varying] += (rotated - within) @ basis.T
    return (mean + std * z_ND).reshape(x.shape), y
