"""Shifts that select samples, or change their labels, of vectors, series and images alike.

A selection returns the indices of the selected samples in their order, so that whatever belongs to a sample is selected too.
"""

from __future__ import annotations

import math
from typing import Annotated, Any

import numpy as np
from pydantic import AfterValidator, Field

from tlbench.data.decoding.arrays import Array, dense
from tlbench.data.function_registry import options_rule
from tlbench.data.shifts.common import (
    Indices,
    Labels,
    NotNegative,
    Positive,
    Share,
    as_vectors,
    draw_per_class,
    round_to_total,
    selected_in_order,
    standardize,
)
from tlbench.errors import TlbenchError

__all__ = ["Labels", "biased_sample", "concept_shift", "covariate_shift", "label_shift", "part", "subsample"]


@options_rule(lambda o: f"index = {o.index} must be below of = {o.of}. Parts count from 0." if o.index >= o.of else None)
def part(
    x: Any,
    y: Labels,
    rng: np.random.Generator,
    *,
    index: Annotated[int, Field(ge=0)],
    of: Annotated[int, Field(ge=2)],
) -> Indices:
    """Select one of `of` disjoint random parts of the samples, each class spread evenly over them.

    Two domains that are two parts of one data set, with the same seed, share no sample.
    """
    order = rng.permutation(len(y))
    by_class = order[np.argsort(y[order], kind="stable")]
    return selected_in_order(by_class[index::of], len(y), "part")


def _checked_shares(priors: list[float]) -> list[float]:
    if min(priors) < 0 or not math.isclose(sum(priors), 1, abs_tol=1e-6):
        raise ValueError(f"must be shares of at least 0 that sum to 1; they sum to {sum(priors):g}")
    return priors


@options_rule(lambda o: "Give either priors or alpha." if (o.priors is None) == (o.alpha is None) else None)
def label_shift(
    x: Any,
    y: Labels,
    rng: np.random.Generator,
    *,
    priors: Annotated[list[float], Field(min_length=1), AfterValidator(_checked_shares)] | None = None,
    alpha: Positive | None = None,
) -> Indices:
    """Select as many samples as can have given class shares: `priors` in class order, or a Dirichlet draw with `alpha`.

    Samples are drawn without replacement, at random within each class; rounding moves a class by less than one sample.
    Dirichlet priors are drawn over the classes that have samples.
    """
    counts = np.bincount(y)
    shares = np.zeros(len(counts))
    if priors is None:
        shares[counts > 0] = rng.dirichlet(np.full(int((counts > 0).sum()), alpha))
    elif len(priors) < len(counts):
        raise TlbenchError(
            f"label_shift has {len(priors)} priors for {len(counts)} classes. Give one prior per class, in class order."
        )
    else:
        shares = np.array(priors) / sum(priors)
        counts = np.pad(counts, (0, len(shares) - len(counts)))
    positive = shares > 0
    size = math.floor(float((counts[positive] / shares[positive]).min()) + 1e-9)
    return selected_in_order(draw_per_class(y, round_to_total(shares * size), rng), len(y), "label_shift")


def biased_sample(x: Any, y: Labels, rng: np.random.Generator, *, gamma: Positive = 0.05) -> Indices:
    """Select a vector with probability exp(-gamma ||z||^2), z its z-scored features: covariate shift towards the mean.

    The biased sample of Huang et al., Correcting sample selection bias by unlabeled data, NIPS 2006.
    https://papers.nips.cc/paper/3075-correcting-sample-selection-bias-by-unlabeled-data
    """
    x = as_vectors(x, "biased_sample").astype(np.float64)
    std = x.std(axis=0)
    z = (x - x.mean(axis=0)) / np.where(std == 0, 1, std)
    selected = rng.random(len(x)) < np.exp(-gamma * np.square(z).sum(axis=1))
    return selected_in_order(np.flatnonzero(selected), len(y), "biased_sample")


def covariate_shift(
    x: Any,
    y: Labels,
    rng: np.random.Generator,
    *,
    strength: NotNegative,
    share: Annotated[float, Field(gt=0, le=1)] = 0.5,
    feature: Annotated[int, Field(ge=0)] | None = None,
) -> Indices:
    """Select a `share` of the samples, those far along a direction more often: with odds that grow as exp(strength t).

    t is a sample's position along the direction in standard deviations: along one z-scored `feature`, else along a random
    direction of all features. The selection sees no label, so labels given features keep their distribution; strength 0 is a
    plain random sample. The draw is without replacement and has the same size for every strength (Efraimidis and Spirakis,
    Weighted random sampling with a reservoir, Information Processing Letters 2006. https://doi.org/10.1016/j.ipl.2005.11.003).
    """
    t_N = _positions_along(x, rng, "covariate_shift", feature)
    keys = strength * t_N + rng.gumbel(size=len(t_N))
    indices = np.argsort(-keys, kind="stable")[: round(share * len(y))]
    return selected_in_order(indices, len(y), "covariate_shift")


def concept_shift(
    x: Any,
    y: Labels,
    rng: np.random.Generator,
    *,
    share: Share,
    feature: Annotated[int, Field(ge=0)] | None = None,
) -> tuple[Any, Labels]:
    """Give the `share` of samples that lie farthest along a direction the label of the next class; features do not change.

    The direction is one z-scored `feature`, else a random direction of all features. The next class is taken among the
    classes that have samples; after the last class comes the first. A larger share contains the smaller ones.
    """
    t_N = _positions_along(x, rng, "concept_shift", feature)
    present = np.unique(y)
    if len(present) < 2:
        raise TlbenchError("concept_shift needs samples of at least two classes. With one class there is no other label.")
    relabeled = y.copy()
    far = np.argsort(-t_N, kind="stable")[: round(share * len(y))]
    relabeled[far] = np.roll(present, -1)[np.searchsorted(present, y[far])]
    return x.copy(), relabeled


def subsample(y: Labels, size: int, rng: np.random.Generator) -> Indices:
    """The indices, in order, of at most `size` random samples with the class proportions of y (N,)."""
    if size >= len(y):
        return np.arange(len(y))
    return np.sort(draw_per_class(y, round_to_total(np.bincount(y) * (size / len(y))), rng))


def _positions_along(x: Any, rng: np.random.Generator, kind: str, feature: int | None) -> Array:
    """The position (N,) of each sample along a direction: mean 0, deviation 1 (all 0 where all samples are the same)."""
    x_ND = dense(x).reshape(x.shape[0], -1)
    direction = rng.standard_normal(x_ND.shape[1])  # drawn with a given feature too, so that later draws stay the same
    if feature is not None:
        if feature >= x_ND.shape[1]:
            raise TlbenchError(
                f"{kind}: feature = {feature} does not exist; samples have {x_ND.shape[1]} features, which count from 0."
            )
        return np.asarray(standardize(x_ND[:, [feature]])[0][:, 0])
    return np.asarray(standardize((standardize(x_ND)[0] @ direction)[:, None])[0][:, 0])
