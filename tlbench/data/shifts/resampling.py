"""Shifts by the choice of rows, and of their labels, on vectors and images alike.

A choice gives the numbers of the rows that stay, in their old order, so that whatever belongs to a row goes with it.
"""

from __future__ import annotations

import math
from typing import Annotated, Any

import numpy as np
from pydantic import AfterValidator, Field

from tlbench.data.decoding.arrays import Array, dense
from tlbench.data.function_registry import options_rule
from tlbench.data.shifts.common import Labels, NotNegative, Positive, Share, drawn, kept, rounded, standard, vectors_of
from tlbench.errors import TlbenchError

__all__ = ["Labels", "biased_sample", "concept_shift", "covariate_shift", "label_shift", "part", "subsample"]


@options_rule(lambda o: f"index = {o.index} must be below of = {o.of} (parts count from 0)" if o.index >= o.of else None)
def part(
    x: Any,
    y: Labels,
    rng: np.random.Generator,
    *,
    index: Annotated[int, Field(ge=0)],
    of: Annotated[int, Field(ge=2)],
) -> Labels:
    """Keep one of `of` disjoint random parts of the rows, each class spread evenly over them.

    Two domains made from one data set by two parts of the same seed share no row.
    """
    order = rng.permutation(len(y))
    by_class = order[np.argsort(y[order], kind="stable")]
    return kept(y, by_class[index::of], "part")


def _shares(priors: list[float]) -> list[float]:
    if min(priors) < 0 or not math.isclose(sum(priors), 1, abs_tol=1e-6):
        raise ValueError(f"must be shares >= 0 that sum to 1; they sum to {sum(priors):g}")
    return priors


@options_rule(lambda o: "give either priors or alpha" if (o.priors is None) == (o.alpha is None) else None)
def label_shift(
    x: Any,
    y: Labels,
    rng: np.random.Generator,
    *,
    priors: Annotated[list[float], Field(min_length=1), AfterValidator(_shares)] | None = None,
    alpha: Positive | None = None,
) -> Labels:
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
    return kept(y, drawn(y, rounded(shares * rows), rng), "label_shift")


def biased_sample(x: Any, y: Labels, rng: np.random.Generator, *, gamma: Positive = 0.05) -> Labels:
    """Keep a vector with probability exp(-gamma ||z||^2), z its z-scored features: covariate shift towards the mean.

    The biased sample of Huang et al., Correcting sample selection bias by unlabeled data, NIPS 2006.
    """
    x = vectors_of(x, "biased_sample").astype(np.float64)
    std = x.std(axis=0)
    z = (x - x.mean(axis=0)) / np.where(std == 0, 1, std)
    chosen = rng.random(len(x)) < np.exp(-gamma * np.square(z).sum(axis=1))
    return kept(y, np.flatnonzero(chosen), "biased_sample")


def covariate_shift(
    x: Any,
    y: Labels,
    rng: np.random.Generator,
    *,
    strength: NotNegative,
    share: Annotated[float, Field(gt=0, le=1)] = 0.5,
    feature: Annotated[int, Field(ge=0)] | None = None,
) -> Labels:
    """Keep a `share` of the rows, those far along a direction more often: with odds that grow as exp(strength t).

    t is a row's place along the direction in standard deviations: along one z-scored `feature`, else along a random
    direction of all of them. The choice sees no label, so the relation of label to features stays; strength 0 is a
    plain random sample. Without replacement (Efraimidis and Spirakis 2006), as many rows whatever the strength.
    """
    t_N = _along(x, rng, "covariate_shift", feature)
    keys = strength * t_N + rng.gumbel(size=len(t_N))
    return kept(y, np.argsort(-keys, kind="stable")[: round(share * len(y))], "covariate_shift")


def concept_shift(
    x: Any,
    y: Labels,
    rng: np.random.Generator,
    *,
    share: Share,
    feature: Annotated[int, Field(ge=0)] | None = None,
) -> tuple[Any, Labels]:
    """Give the `share` of rows that lie farthest along a direction the label of the next class; features stay.

    The direction is one z-scored `feature`, else a random direction of all of them. The next class is that of the
    classes that have rows, the first after the last. A larger share contains the smaller ones.
    """
    t_N = _along(x, rng, "concept_shift", feature)
    there = np.unique(y)
    if len(there) < 2:
        raise TlbenchError("concept_shift needs rows of two classes at least: there is no other label to give")
    moved = y.copy()
    far = np.argsort(-t_N, kind="stable")[: round(share * len(y))]
    moved[far] = np.roll(there, -1)[np.searchsorted(there, y[far])]
    return x.copy(), moved


def subsample(y: Labels, rows: int, rng: np.random.Generator) -> Labels:
    """At most `rows` rows at random, classes in the proportions that they have: their numbers, in their old order."""
    if rows >= len(y):
        return np.arange(len(y))
    return kept(y, drawn(y, rounded(np.bincount(y) * (rows / len(y))), rng), "rows")


def _along(x: Any, rng: np.random.Generator, kind: str, feature: int | None) -> Array:
    """The place (N,) of each row along a direction, with mean 0 and deviation 1 (all 0 where all rows are the same)."""
    x_ND = dense(x).reshape(x.shape[0], -1)
    direction = rng.standard_normal(x_ND.shape[1])  # drawn either way: what is drawn after it stays the same
    if feature is not None:
        if feature >= x_ND.shape[1]:
            raise TlbenchError(f"{kind}: feature = {feature} of rows with {x_ND.shape[1]} features (they count from 0)")
        return np.asarray(standard(x_ND[:, [feature]])[0][:, 0])
    return np.asarray(standard((standard(x_ND)[0] @ direction)[:, None])[0][:, 0])
