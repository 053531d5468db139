"""Rows that stand for many: chosen by what they hold and not by where they stand, and kernel features through them."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch
from torch import Tensor

from tlbench.solvers import kernels

BLOCK = 2**24
"""Numbers of a kernel block that is made and thrown away: 128 MiB in float64."""
WIDTH_ROWS = 1000
"""Rows that the median distance is taken over, at most."""


def blocks(x_ND: Tensor, columns: int) -> Iterator[Tensor]:
    """The rows in parts, such that the rows of a part times `columns` stay below `BLOCK`."""
    yield from x_ND.split(max(BLOCK // max(columns, 1), 1))


def content_order(x_ND: Tensor) -> Tensor:
    """Row numbers (N,) in a random order that follows what the rows hold: permuted rows come out in the same order.

    Rows are sorted along a random direction, and the sorted rows are shuffled; both are drawn on the CPU from torch's
    global generator, the same for every device. Equal rows keep the order in which they stand.
    """
    direction = torch.randn(x_ND.shape[1], dtype=torch.float64).to(x_ND)
    order = torch.argsort((x_ND * direction).sum(dim=1), stable=True)
    return order[torch.randperm(len(x_ND)).to(x_ND.device)]


def stratified_folds(x_ND: Tensor, y_N: Tensor, folds: int) -> Tensor:
    """Fold numbers (N,): the rows of each class y dealt out in turn, whatever the order of the rows."""
    order = content_order(x_ND)
    order = order[torch.argsort(y_N[order], stable=True)]
    fold = torch.empty_like(order)
    fold[order] = torch.arange(len(order), device=order.device) % folds
    return fold


def random_landmarks(x_ND: Tensor, count: int) -> Tensor:
    """At most `count` of the rows (R, D), at random, whatever the order of the rows."""
    return x_ND[content_order(x_ND)[:count]]


def median_gamma(source_ND: Tensor, target_MD: Tensor) -> float:
    """The median rule over both domains together: 1 / (2 median |x - x'|^2), on at most `WIDTH_ROWS` rows."""
    return kernels.median_gamma(random_landmarks(torch.cat([source_ND, target_MD]), WIDTH_ROWS))


def nystrom(landmarks_RD: Tensor, gamma: float) -> Callable[[Tensor], Tensor]:
    """Rows (N, D) -> features (N, r) whose inner products are the kernel projected on the landmarks, K_nr K_rr^-1 K_rn.

    Exact on rows that are landmarks (Williams and Seeger 2001); directions of K_rr below 1e-10 of its largest are left out,
    so that r <= R.
    """
    values, vectors = torch.linalg.eigh(kernels.gram(landmarks_RD, landmarks_RD, gamma))
    kept = values > 1e-10 * values[-1]
    whiten = vectors[:, kept] / values[kept].sqrt()

    def features(x_ND: Tensor) -> Tensor:
        parts = blocks(x_ND, len(landmarks_RD))
        return torch.cat([kernels.gram(part, landmarks_RD, gamma) @ whiten for part in parts])

    return features
