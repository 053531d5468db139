"""Declared distribution shifts: domains made to order from one data set.

A shift is a function `(x, y, rng, *, options) -> (x, y)` that leaves its inputs as they are. Adding a function adds a
shift. The generator follows from the kind and the seed alone, so `part` cuts the same parts whatever its index, and a
ladder of severities differs in nothing but severity.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable
from typing import Annotated, Any

import numpy as np
from numpy.typing import NDArray
from pydantic import AfterValidator, Field

from tlbench.data.arrays import Array, dense
from tlbench.data.kinds import Kinds, Plain, rule
from tlbench.terms import TlbenchError

Labels = NDArray[np.int64]
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
NotNegative = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Share = Annotated[float, Field(ge=0, le=1)]

CHUNK = 4096
"""Images that are changed at once."""


class Seeded(Plain):
    """What every shift takes beside its own options."""

    seed: int = 0


kinds = Kinds(__name__, ("x", "y", "rng"), Seeded)
names = kinds.names
summaries = kinds.summaries


def generator(kind: str, seed: int) -> np.random.Generator:
    """The generator of a use (a kind of shift) and a seed, the same on every machine."""
    digest = hashlib.sha256(f"{kind}:{seed}".encode()).digest()
    return np.random.default_rng(int.from_bytes(digest[:16], "big"))


# --- images ---


def rotation(
    x: Any, y: Labels, rng: np.random.Generator, *, degrees: Annotated[float, Field(allow_inf_nan=False)]
) -> tuple[Array, Labels]:
    """Turn images counter-clockwise by `degrees` about their centre (bilinear); corners get the darkest value."""
    import torch
    from torchvision.transforms.v2 import functional

    def turned(part: Array) -> Array:
        image = torch.from_numpy(part)
        filled = functional.rotate(
            image, degrees, interpolation=functional.InterpolationMode.BILINEAR, fill=[float(low)] * part.shape[1]
        )
        return np.asarray(filled.numpy())

    x = _images(x, "rotation")
    low, _ = _range(x)
    return (x.copy() if degrees % 360 == 0 else _repainted(x, turned)), y


def inversion(x: Any, y: Labels, rng: np.random.Generator) -> tuple[Array, Labels]:
    """Turn images into their negatives: dark becomes bright within the range of the images."""
    x = _images(x, "inversion")
    low, high = _range(x)
    return (255 - x if x.dtype == np.uint8 else np.clip(high - (x - low), low, high)), y


def noise(x: Any, y: Labels, rng: np.random.Generator, *, sigma: NotNegative) -> tuple[Array, Labels]:
    """Add Gaussian noise to images; `sigma` is its standard deviation as a share of their range (which clips it)."""
    x = _images(x, "noise")
    low, high = _range(x)
    spread = np.float32(sigma * (high - low))
    return _repainted(x, lambda part: part + spread * rng.standard_normal(part.shape, dtype=np.float32)), y


def blur(x: Any, y: Labels, rng: np.random.Generator, *, sigma: NotNegative) -> tuple[Array, Labels]:
    """Blur images with a Gaussian of standard deviation `sigma` in pixels (edges are mirrored)."""
    from scipy import ndimage

    x = _images(x, "blur")
    return _repainted(x, lambda part: np.asarray(ndimage.gaussian_filter(part, (0, 0, sigma, sigma)))), y


def contrast(x: Any, y: Labels, rng: np.random.Generator, *, factor: NotNegative) -> tuple[Array, Labels]:
    """Stretch (`factor` above 1) or flatten (below 1) each image about its own mean, clipped to the range."""

    def stretched(part: Array) -> Array:
        mean = part.mean(axis=(1, 2, 3), keepdims=True)
        return np.asarray(mean + np.float32(factor) * (part - mean))

    return _repainted(_images(x, "contrast"), stretched), y


# --- rows: vectors and images alike; sparse stays sparse ---


@rule(lambda o: f"index = {o.index} must be below of = {o.of} (parts count from 0)" if o.index >= o.of else None)
def part(
    x: Any,
    y: Labels,
    rng: np.random.Generator,
    *,
    index: Annotated[int, Field(ge=0)],
    of: Annotated[int, Field(ge=2)],
) -> tuple[Any, Labels]:
    """Keep one of `of` disjoint random parts of the rows, each class spread evenly over them.

    Two domains made from one data set by two parts of the same seed share no row.
    """
    order = rng.permutation(len(y))
    by_class = order[np.argsort(y[order], kind="stable")]
    return _kept(x, y, by_class[index::of], "part")


def _shares(priors: list[float]) -> list[float]:
    if min(priors) < 0 or not math.isclose(sum(priors), 1, abs_tol=1e-6):
        raise ValueError(f"must be shares >= 0 that sum to 1; they sum to {sum(priors):g}")
    return priors


@rule(lambda o: "give either priors or alpha" if (o.priors is None) == (o.alpha is None) else None)
def label_shift(
    x: Any,
    y: Labels,
    rng: np.random.Generator,
    *,
    priors: Annotated[list[float], Field(min_length=1), AfterValidator(_shares)] | None = None,
    alpha: Positive | None = None,
) -> tuple[Any, Labels]:
    """Keep as many rows as meet given class shares: `priors` in class order, or drawn from a Dirichlet of `alpha`.

    Rows are drawn without replacement, within each class at random; rounding moves a class by less than one row. Priors
    from a Dirichlet are drawn over the classes that have rows.
    """
    counts = np.bincount(y)
    shares = np.zeros(len(counts))
    if priors is None:
        shares[counts > 0] = rng.dirichlet(np.full(int((counts > 0).sum()), alpha))
    elif len(priors) < len(counts):
        raise TlbenchError(f"label_shift has {len(priors)} priors for {len(counts)} classes; give one a class, in class order")
    else:
        shares = np.array(priors) / sum(priors)
        counts = np.pad(counts, (0, len(shares) - len(counts)))
    asked = shares > 0
    rows = math.floor(float((counts[asked] / shares[asked]).min()) + 1e-9)
    return _kept(x, y, _drawn(y, _rounded(shares * rows), rng), "label_shift")


def biased_sample(x: Any, y: Labels, rng: np.random.Generator, *, gamma: Positive = 0.05) -> tuple[Array, Labels]:
    """Keep a vector with probability exp(-gamma ||z||^2), z its z-scored features: covariate shift towards the mean.

    The biased sample of Huang et al., Correcting sample selection bias by unlabeled data, NIPS 2006.
    """
    x = _vectors(x, "biased_sample").astype(np.float64)
    std = x.std(axis=0)
    z = (x - x.mean(axis=0)) / np.where(std == 0, 1, std)
    chosen = rng.random(len(x)) < np.exp(-gamma * np.square(z).sum(axis=1))
    return _kept(x, y, np.flatnonzero(chosen), "biased_sample")


# --- vectors and series ---


def scaling(x: Any, y: Labels, rng: np.random.Generator, *, factor: Positive) -> tuple[Array, Labels]:
    """Multiply all features by `factor`, as a sensor of another gain would."""
    return _vectors(x, "scaling") * np.float64(factor), y


def missing(x: Any, y: Labels, rng: np.random.Generator, *, share: Share) -> tuple[Array, Labels]:
    """Lose a random `share` of all entries; each is filled with its feature's mean over the entries that are left."""
    x = _vectors(x, "missing").astype(np.float64)
    lost = rng.random(x.shape) < share
    left = (~lost).sum(axis=0)
    mean = np.where(left > 0, np.where(lost, 0, x).sum(axis=0) / np.maximum(left, 1), x.mean(axis=0))
    return np.where(lost, mean, x), y


# --- what they share ---


def subsample(x: Any, y: Labels, rows: int, rng: np.random.Generator) -> tuple[Any, Labels]:
    """At most `rows` rows at random, classes in the proportions that they have; in their old order."""
    if rows >= len(y):
        return x, y
    return _kept(x, y, _drawn(y, _rounded(np.bincount(y) * (rows / len(y))), rng), "rows")


def _rounded(sizes: NDArray[np.floating[Any]]) -> Labels:
    """Whole numbers with the same sum, each less than 1 away (largest remainders go up)."""
    sizes = np.round(sizes, 9)
    whole: Labels = np.floor(sizes).astype(np.int64)
    up = np.argsort(whole - sizes, kind="stable")[: round(float(sizes.sum())) - int(whole.sum())]
    whole[up] += 1
    return whole


def _drawn(y: Labels, sizes: Labels, rng: np.random.Generator) -> Labels:
    """The numbers of `sizes[c]` random rows of each class c."""
    order = rng.permutation(len(y))
    return np.concatenate([order[y[order] == c][:size] for c, size in enumerate(sizes)])


def _kept(x: Any, y: Labels, rows: Labels, kind: str) -> tuple[Any, Labels]:
    """The rows of these numbers, in their old order."""
    if not len(rows):
        raise TlbenchError(f"{kind} leaves no row of {len(y)}; soften it, or begin with more rows")
    rows = np.sort(rows)
    return x[rows], y[rows]


def _images(x: Any, kind: str) -> Array:
    if x.ndim != 4:
        raise TlbenchError(
            f"shift {kind} is for images (N, channels, height, width); rows are {tuple(x.shape[1:])}: "
            "give their shape, as in shape = [1, 16, 16]"
        )
    return np.asarray(x)


def _vectors(x: Any, kind: str) -> Array:
    if x.ndim == 4:
        raise TlbenchError(f"shift {kind} is for vectors (N, D) and series; rows are images {tuple(x.shape[1:])}")
    return dense(x)


def _range(x: Array) -> tuple[float, float]:
    """Darkest and brightest value: of the type for bytes, of the images themselves for floats."""
    return (0, 255) if x.dtype == np.uint8 else (x.min(), x.max())


def _repainted(x: Array, change: Callable[[Array], Array]) -> Array:
    """Images changed as float32, chunk by chunk, clipped to their range; bytes are rounded to bytes again."""
    low, high = _range(x)
    out = np.empty_like(x)
    for start in range(0, len(x), CHUNK):
        changed = np.clip(change(x[start : start + CHUNK].astype(np.float32)), low, high)
        out[start : start + CHUNK] = np.rint(changed) if x.dtype == np.uint8 else changed
    return out
