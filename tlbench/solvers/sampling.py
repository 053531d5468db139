"""Random subsets, folds and orders that depend on the values of the samples and not on their order.

Permuted samples give the same subsets and folds, so that the result of a method does not depend on the order of its samples.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

MAX_BLOCK_NUMBERS = 2**24
"""Numbers of a temporary kernel block: 128 MiB in float64."""


def chunks(x_ND: Tensor, columns: int) -> Iterator[Tensor]:
    """The samples in chunks, such that a chunk of n samples times `columns` stays below `MAX_BLOCK_NUMBERS` numbers."""
    yield from x_ND.split(max(MAX_BLOCK_NUMBERS // max(columns, 1), 1))


def content_order(x_ND: Tensor) -> Tensor:
    """Indices (N,) in a random order that depends on the values: permuted samples come out in the same order.

    The samples are sorted along a random direction and then shuffled. Direction and shuffle are drawn on the CPU from torch's
    global generator, the same for every device. Identical samples stay in the order in which they stand.
    """
    direction = torch.randn(x_ND.shape[1], dtype=torch.float64).to(x_ND)
    order = torch.argsort((x_ND * direction).sum(dim=1), stable=True)
    return order[torch.randperm(len(x_ND)).to(x_ND.device)]


def random_subset(x_ND: Tensor, count: int) -> Tensor:
    """At most `count` of the samples (R, D), drawn in `content_order`."""
    return x_ND[content_order(x_ND)[:count]]


def stratified_folds(x_ND: Tensor, y_N: Tensor, folds: int) -> Tensor:
    """Fold numbers (N,): the samples of each class are dealt out in turn, in `content_order`."""
    order = content_order(x_ND)
    order = order[torch.argsort(y_N[order], stable=True)]
    fold = torch.empty_like(order)
    fold[order] = torch.arange(len(order), device=order.device) % folds
    return fold
