"""1-nearest-neighbour classification and regression, and the extension of decisions from given samples to any others.

Cover and Hart, Nearest neighbor pattern classification, IEEE Transactions on Information Theory 1967.
https://doi.org/10.1109/TIT.1967.1053964
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from tlbench.solvers.kernels.gaussian import squared_distances


def fit_nearest_neighbor(x_ND: Tensor, y_N: Tensor, classes: int, *, chunk: int = 1024) -> Callable[[Tensor], Tensor]:
    """1-nearest-neighbour, Euclidean, in float64: the score of a class is minus the distance to its nearest sample.

    The distance lacks the norm of the scored sample, which is the same for every class. A class without samples scores
    minus infinity. Of classes whose nearest samples are equally near, the first one (of the lowest index) is predicted, as
    `argmax` does.

    Args:
        x_ND: samples (N, D).
        y_N: int64 classes (N,).
        classes: C.
        chunk: samples that are scored at a time.
    """
    known = x_ND.double()
    square = known.square().sum(dim=1)
    order = torch.argsort(y_N, stable=True)
    counts = torch.bincount(y_N, minlength=classes).tolist()

    def scores(x: Tensor) -> Tensor:
        return torch.cat([chunk_scores(piece.double()) for piece in x.split(chunk)])

    def chunk_scores(x: Tensor) -> Tensor:
        # |a - b|^2 without |a|^2
        squared = (square - 2 * (x @ known.T))[:, order]
        by_class = squared.split(counts, dim=1)
        absent = x.new_full((len(x),), torch.inf)
        return -torch.stack([group.amin(dim=1) if group.shape[1] else absent for group in by_class], dim=1)

    return scores


def fit_nearest_neighbor_regression(x_ND: Tensor, y_NK: Tensor, *, chunk: int = 1024) -> Callable[[Tensor], Tensor]:
    """1-nearest-neighbour regression, Euclidean, in float64: the columns (K,) of the nearest sample, the first of ties."""
    known = x_ND.double()
    square = known.square().sum(dim=1)
    return lambda x: torch.cat([y_NK[(square - 2 * (piece.double() @ known.T)).argmin(dim=1)] for piece in x.split(chunk)])


def fit_nearest_sample(x_ND: Tensor, values_NC: Tensor, chunk: int = 1024) -> Callable[[Tensor], Tensor]:
    """Extend values (N, C) that were decided jointly for samples (N, D) to any samples.

    A sample that is bitwise equal to one of the N gets the value of the first such one; any other sample gets the value of
    its nearest one.
    """
    index_of: dict[bytes, int] = {}
    for index, sample in enumerate(x_ND.cpu().numpy()):
        index_of.setdefault(sample.tobytes(), index)

    def scores(x: Tensor) -> Tensor:
        x = x.to(x_ND.dtype)
        indices = torch.tensor([index_of.get(sample.tobytes(), -1) for sample in x.cpu().numpy()], device=x.device)
        unknown = (indices < 0).nonzero().flatten()
        for piece in unknown.split(chunk):
            indices[piece] = squared_distances(x[piece], x_ND).argmin(dim=1)
        return values_NC[indices]

    return scores
