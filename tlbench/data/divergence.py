"""How far two domains are apart before any method has seen them: in their labels and in their features.

Features are compared on fixed random subsamples of equal size from both sides, projected to the first principal components of
the pooled samples. Features of vectors and series are divided by their pooled standard deviation first; images are averaged
down to 32 pixels.
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

MAX_SAMPLES, MAX_COMPONENTS, MAX_PIXELS = 1000, 32, 32
"""Compared samples of each side, principal components they are compared in, and the side that images are averaged down to."""
MIN_SAMPLES = 10
"""With fewer samples on a side only labels are compared."""
SUBSAMPLE_USE = "apart"
"""Seeds the random order of the samples of a domain; published divergences depend on this name."""


@dataclass(frozen=True)
class Divergence:
    """Distances between two sides; those of features are None where the shapes differ or a side has too few samples."""

    label_shift: float | None
    """Total variation between the class shares: 0 for equal shares, 1 for no class in common. None for a regression."""
    a_distance: float | None = None
    """Proxy A-distance, 0 to 2; see `a_distance`."""
    mmd2: float | None = None
    """Squared maximum mean discrepancy; see `mmd2`."""
    frechet: float | None = None
    """Frechet distance; see `frechet`."""


def measure_divergence(sources: Sequence[Domain], target: Domain) -> Divergence:
    """How far the pooled samples of some sources are from the samples of a target."""
    sources, target = fit_features(sources, target)
    names = sorted({name for domain in (*sources, target) for name in domain.classes})
    label_shift = 0.5 * float(np.abs(_class_shares(sources, names) - _class_shares([target], names)).sum()) if names else None
    shapes = {tuple(domain.samples.x.shape[1:]) for domain in (*sources, target)}
    if len(shapes) > 1:
        return Divergence(label_shift)
    size = min(MAX_SAMPLES, sum(len(domain.samples) for domain in sources), len(target.samples))
    if size < MIN_SAMPLES:
        return Divergence(label_shift)
    a_ND = np.concatenate([subsample(domain, -(-size // len(sources))) for domain in sources])[:size]
    a_NP, b_NP = joint_components(a_ND, subsample(target, size)[: len(a_ND)], scaled=target.samples.x.ndim != 4)
    return Divergence(label_shift, a_distance(a_NP, b_NP), mmd2(a_NP, b_NP), frechet(a_NP, b_NP))


def _class_shares(domains: Sequence[Domain], names: Sequence[str]) -> Floats:
    """The share of each named class among the pooled samples of some domains."""
    counts = np.zeros(len(names))
    for domain in domains:
        indices = np.array([names.index(name) for name in domain.classes])
        counts += np.bincount(indices[domain.samples.y.numpy()], minlength=len(names))
    return np.asarray(counts / counts.sum())


def subsample_indices(domain: Domain, size: int) -> NDArray[np.int64]:
    """The indices of at most `size` samples of a domain in a fixed random order."""
    return shifts.generator(SUBSAMPLE_USE, 0).permutation(len(domain.samples))[:size]


def subsample(domain: Domain, size: int) -> Floats:
    """The samples at `subsample_indices` as vectors (N, D); images are averaged down and have values in [0, 1]."""
    import torch

    x = domain.samples.x[torch.from_numpy(subsample_indices(domain, size))]
    if x.ndim == 4:
        x = x.float() / (255 if x.dtype == torch.uint8 else 1)
        height, width = (min(MAX_PIXELS, int(side)) for side in x.shape[2:])
        x = torch.nn.functional.adaptive_avg_pool2d(x, (height, width))
    return np.asarray(x.flatten(1).numpy(), dtype=np.float64)


def joint_components(a_ND: Floats, b_MD: Floats, *, scaled: bool = True) -> tuple[Floats, Floats]:
    """Both sides as principal components (N, P) and (M, P) of the pooled samples, P at most 32, of mean variance 1.

    `scaled` divides each feature by its pooled standard deviation first; pixels have one unit and need no scaling.
    """
    from sklearn.decomposition import PCA

    pooled = np.concatenate([a_ND, b_MD])
    pooled = pooled - pooled.mean(axis=0)
    if scaled:
        std = pooled.std(axis=0)
        pooled = pooled / np.where(std == 0, 1, std)
    if not pooled.any():
        return pooled[: len(a_ND), :1], pooled[len(a_ND) :, :1]
    size = min(MAX_COMPONENTS, *pooled.shape)
    solver = "randomized" if size < min(pooled.shape) else "full"
    z = PCA(size, svd_solver=solver, random_state=0).fit_transform(pooled)
    z = z / (np.sqrt(z.var(axis=0).mean()) or 1.0)
    return z[: len(a_ND)], z[len(a_ND) :]


def a_distance(a_ND: Floats, b_MD: Floats) -> float:
    """The proxy A-distance 2 (1 - 2 err), err the error of a logistic classifier of the side in 5-fold cross-validation.

    It is 0 where the classifier is no better than chance, and 2 where it is always right. The classifier is linear: it sees
    differences of means, not of variances.

    Ben-David, Blitzer, Crammer, Kulesza, Pereira and Vaughan, A theory of learning from different domains, Machine Learning
    2010. https://doi.org/10.1007/s10994-009-5152-4

    Raises:
        TlbenchError: fewer than 5 samples on a side.
    """
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import StratifiedKFold, cross_val_predict

    if min(len(a_ND), len(b_MD)) < 5:
        raise TlbenchError(f"The A-distance needs 5 samples on either side, and there are {len(a_ND)} and {len(b_MD)}.")
    x, side = np.concatenate([a_ND, b_MD]), np.repeat([0, 1], [len(a_ND), len(b_MD)])
    folds = StratifiedKFold(5, shuffle=True, random_state=0)
    predicted = cross_val_predict(LogisticRegression(max_iter=1000), x, side, cv=folds)
    error = 0.5 * (float((predicted[side == 0] != 0).mean()) + float((predicted[side == 1] != 1).mean()))
    return max(0.0, 2 * (1 - 2 * error))


def mmd2(a_ND: Floats, b_MD: Floats) -> float:
    """The unbiased estimate of the squared maximum mean discrepancy, with a Gaussian kernel of median width.

    For two samples of one distribution it is about 0, and may be below.

    Gretton, Borgwardt, Rasch, Schoelkopf and Smola, A kernel two-sample test, JMLR 2012, eq. 3.
    https://jmlr.org/papers/v13/gretton12a.html
    """
    from scipy.spatial.distance import cdist

    pooled = np.concatenate([a_ND, b_MD])
    squares = cdist(pooled, pooled, "sqeuclidean")
    width = float(np.median(squares[np.triu_indices(len(pooled), 1)])) or 1.0
    kernel: Any = np.exp(-squares / width)
    np.fill_diagonal(kernel, 0)
    n, m = len(a_ND), len(b_MD)
    within = kernel[:n, :n].sum() / (n * (n - 1)) + kernel[n:, n:].sum() / (m * (m - 1))
    return float(within - 2 * kernel[:n, n:].mean())


def frechet(a_ND: Floats, b_MD: Floats) -> float:
    """The squared Frechet distance of two Gaussians fitted to the sides, A and B their covariances.

    |mean a - mean b|^2 + tr(A + B - 2 (A B)^(1/2))

    Dowson and Landau, The Frechet distance between multivariate normal distributions, Journal of Multivariate Analysis 1982.
    https://doi.org/10.1016/0047-259X(82)90077-X
    """
    a_covariance, b_covariance = (np.atleast_2d(np.cov(side, rowvar=False)) for side in (a_ND, b_MD))
    cross_trace = np.sqrt(np.clip(np.linalg.eigvals(a_covariance @ b_covariance).real, 0, None)).sum()
    mean_distance2 = np.square(a_ND.mean(axis=0) - b_MD.mean(axis=0)).sum()
    return float(mean_distance2 + np.trace(a_covariance) + np.trace(b_covariance) - 2 * cross_trace)
