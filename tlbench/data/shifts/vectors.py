"""Shifts of vectors (N, D); series (N, channels, time) go through them as the numbers that they are."""

from __future__ import annotations

from typing import Annotated, Any

import numpy as np
from pydantic import Field

from tlbench.data.decoding.arrays import Array
from tlbench.data.shifts.common import Finite, Labels, Positive, Share, standard, vectors_of
from tlbench.errors import TlbenchError


def scaling(x: Any, y: Labels, rng: np.random.Generator, *, factor: Positive) -> tuple[Array, Labels]:
    """Multiply all features by `factor`, as a sensor of another gain would."""
    return vectors_of(x, "scaling") * np.float64(factor), y


def missing(x: Any, y: Labels, rng: np.random.Generator, *, share: Share) -> tuple[Array, Labels]:
    """Lose a random `share` of all entries; each is filled with its feature's mean over the entries that are left."""
    x = vectors_of(x, "missing").astype(np.float64)
    lost = rng.random(x.shape) < share
    left = (~lost).sum(axis=0)
    mean = np.where(left > 0, np.where(lost, 0, x).sum(axis=0) / np.maximum(left, 1), x.mean(axis=0))
    return np.where(lost, mean, x), y


def subspace_shift(
    x: Any, y: Labels, rng: np.random.Generator, *, degrees: Finite, planes: Annotated[int, Field(ge=1)] | None = None
) -> tuple[Array, Labels]:
    """Turn the space of the z-scored features by `degrees` in each of some random planes that share no direction.

    The rows keep their mean, and their distances from each other in z-scored units. `planes` are as many as fit unless
    told; constant features stay out of it.
    """
    x = vectors_of(x, "subspace_shift")
    z_ND, mean, std = standard(x.reshape(len(x), -1))
    varied = np.flatnonzero(z_ND.any(axis=0))
    most = len(varied) // 2
    count = most if planes is None else planes
    if not 1 <= count <= most:
        raise TlbenchError(
            f"subspace_shift: {max(count, 1)} planes need {2 * max(count, 1)} features that vary, of {len(varied)}"
        )
    basis, _ = np.linalg.qr(rng.standard_normal((len(varied), 2 * count)))
    angle = np.radians(degrees)
    within = z_ND[:, varied] @ basis
    first, second = within[:, 0::2], within[:, 1::2]
    turned = np.empty_like(within)
    turned[:, 0::2] = np.cos(angle) * first - np.sin(angle) * second
    turned[:, 1::2] = np.sin(angle) * first + np.cos(angle) * second
    z_ND[:, varied] += (turned - within) @ basis.T
    return (mean + std * z_ND).reshape(x.shape), y
