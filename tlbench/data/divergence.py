"""How far two domains are apart, before any method has seen them: in their labels, and in their rows.

Rows are compared on a fixed random subsample of as many rows from either side, as the first principal components of both
sides together. Features of vectors and series are scaled by their joint deviation first; images are averaged down to 32
pixels.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tlbench.data import shifts
from tlbench.data.fitted_features import fit_features
from tlbench.errors import TlbenchError
from tlbench.terms import Domain

Floats = NDArray[np.float64]

MAX_SAMPLES, COMPONENTS, PIXELS = 1000, 32, 32
"""Rows of each side that are compared, components they are compared in, and pixels that images are averaged down to."""


@dataclass(frozen=True)
class Divergence:
    """Distances between two sides; those of the rows are None where the sides have rows of different shapes."""

    label_shift: float | None
    """Total variation between the class shares: 0 for the same, 1 for no class in common. None for a regression."""
    a_distance: float | None = None
    """Proxy A-distance 2 (1 - 2 err) of a cross-validated linear classifier of the side: 0 to 2 (Ben-David 2007)."""
    mmd2: float | None = None
    """Squared maximum mean discrepancy, unbiased, Gaussian kernel of median width (Gretton 2012, eq. 3)."""
    frechet: float | None = None
    """Frechet distance of two Gaussians fitted to the sides (Dowson and Landau 1982)."""


def measure_divergence(sources: Sequence[Domain], target: Domain) -> Divergence:
    """How far the rows of some sources, taken together, are from the rows of a target."""
    sources, target = fit_features(sources, target)
    names = sorted({name for domain in (*sources, target) for name in domain.classes})
    label_shift = 0.5 * float(np.abs(_shares(sources, names) - _shares([target], names)).sum()) if names else None
    shapes = {tuple(domain.samples.x.shape[1:]) for domain in (*sources, target)}
    if len(shapes) > 1:
        return Divergence(label_shift)
    size = min(MAX_SAMPLES, sum(map(len, (domain.samples for domain in sources))), len(target.samples))
    if size < 10:
        return Divergence(label_shift)
    a = np.concatenate([sample(domain, -(-size // len(sources))) for domain in sources])[:size]
    a, b = components(a, sample(target, size)[: len(a)], scaled=target.samples.x.ndim != 4)
    return Divergence(label_shift, a_distance(a, b), mmd2(a, b), frechet(a, b))


def _shares(domains: Sequence[Domain], names: Sequence[str]) -> Floats:
    counts = np.zeros(len(names))
    for domain in domains:
        place = np.array([names.index(name) for name in domain.classes])
        counts += np.bincount(place[domain.samples.y.numpy()], minlength=len(names))
    return np.asarray(counts / counts.sum())


def sample(domain: Domain, rows: int) -> Floats:
    """At most `rows` rows of a domain in random order, as vectors (N, D)."""
    import torch

    order = shifts.generator("apart", 0).permutation(len(domain.samples))[:rows]
    x = domain.samples.x[torch.from_numpy(order)]
    if x.ndim == 4:
        x = x.float() / (255 if x.dtype == torch.uint8 else 1)
        height, width = (min(PIXELS, int(side)) for side in x.shape[2:])
        x = torch.nn.functional.adaptive_avg_pool2d(x, (height, width))
    return np.asarray(x.flatten(1).numpy(), dtype=np.float64)


def components(a: Floats, b: Floats, *, scaled: bool = True) -> tuple[Floats, Floats]:
    """Both sides (N, D) as principal components (N, at most 32) of the two together, of mean variance 1.

    `scaled` divides each feature by its joint deviation first: not for pixels, which have one unit.
    """
    from sklearn.decomposition import PCA

    both = np.concatenate([a, b])
    both = both - both.mean(axis=0)
    if scaled:
        std = both.std(axis=0)
        both = both / np.where(std == 0, 1, std)
    if not both.any():
        return both[: len(a), :1], both[len(a) :, :1]
    size = min(COMPONENTS, *both.shape)
    z = PCA(size, svd_solver="randomized" if size < min(both.shape) else "full", random_state=0).fit_transform(both)
    z = z / (np.sqrt(z.var(axis=0).mean()) or 1.0)
    return z[: len(a)], z[len(a) :]


def a_distance(a: Floats, b: Floats) -> float:
    """2 (1 - 2 err) of a logistic classifier of the side, err over 5 folds; 0 if it does no better than a coin.

    Sides that were centred each by itself look alike to it: it sees means, not spreads.

    Raises:
        TlbenchError: fewer than 5 rows on a side.
    """
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import StratifiedKFold, cross_val_predict

    if min(len(a), len(b)) < 5:
        raise TlbenchError(f"a distance needs 5 rows on either side; there are {len(a)} and {len(b)}")
    x, y = np.concatenate([a, b]), np.repeat([0, 1], [len(a), len(b)])
    folds = StratifiedKFold(5, shuffle=True, random_state=0)
    said = cross_val_predict(LogisticRegression(max_iter=1000), x, y, cv=folds)
    err = 0.5 * (float((said[y == 0] != 0).mean()) + float((said[y == 1] != 1).mean()))
    return max(0.0, 2 * (1 - 2 * err))


def mmd2(a: Floats, b: Floats) -> float:
    """The unbiased estimate: about 0, and sometimes below, for two samples of one distribution."""
    from scipy.spatial.distance import cdist

    both = np.concatenate([a, b])
    squares = cdist(both, both, "sqeuclidean")
    width = float(np.median(squares[np.triu_indices(len(both), 1)])) or 1.0
    kernel: Any = np.exp(-squares / width)
    np.fill_diagonal(kernel, 0)
    n, m = len(a), len(b)
    within = kernel[:n, :n].sum() / (n * (n - 1)) + kernel[n:, n:].sum() / (m * (m - 1))
    return float(within - 2 * kernel[:n, n:].mean())


def frechet(a: Floats, b: Floats) -> float:
    """|mean a - mean b|^2 + tr(A + B - 2 (A B)^(1/2)), A and B the covariances."""
    first, second = (np.atleast_2d(np.cov(side, rowvar=False)) for side in (a, b))
    cross = np.sqrt(np.clip(np.linalg.eigvals(first @ second).real, 0, None)).sum()
    gap = np.square(a.mean(axis=0) - b.mean(axis=0)).sum()
    return float(gap + np.trace(first) + np.trace(second) - 2 * cross)
