"""The Nystrom approximation: finite features whose inner products are the Gaussian kernel projected on landmarks.

Williams and Seeger, Using the Nystrom method to speed up kernel machines, NIPS 2000.
https://papers.nips.cc/paper/2000/hash/19de10adbaa1b2ee13f77f679fa1483a-Abstract.html
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from tlbench.solvers import sampling
from tlbench.solvers.kernels import gaussian

MAX_MEDIAN_SAMPLES = 1000
"""Samples that the median distance is taken over, at most."""


def pooled_median_gamma(source_ND: Tensor, target_MD: Tensor) -> float:
    """The median rule over both domains: 1 / (2 median |x - x'|^2), on at most `MAX_MEDIAN_SAMPLES` random samples."""
    return gaussian.median_gamma(sampling.random_subset(torch.cat([source_ND, target_MD]), MAX_MEDIAN_SAMPLES))


def nystrom_features(landmarks_RD: Tensor, gamma: float) -> Callable[[Tensor], Tensor]:
    """A map of samples (N, D) to features (N, r) whose inner products are K_nr K_rr^-1 K_rn.

    The map is exact on the landmarks. Directions of K_rr whose eigenvalue is below 1e-10 of the largest are left out, so that
    r <= R.
    """
    values, vectors = torch.linalg.eigh(gaussian.gram(landmarks_RD, landmarks_RD, gamma))
    retained = values > 1e-10 * values[-1]
    whitening = vectors[:, retained] / values[retained].sqrt()

    def features(x_ND: Tensor) -> Tensor:
        pieces = sampling.chunks(x_ND, len(landmarks_RD))
        return torch.cat([gaussian.gram(chunk, landmarks_RD, gamma) @ whitening for chunk in pieces])

    return features
