"""Simulated data with known Bayes accuracy: a source and a target of Gaussian classes that differ by one kind of shift.

Two dimensions matter: a plane, which lies at random in a space of `dimensions`; the other directions are noise. In the plane
each class is one or two unit Gaussians. Their means lie on a line, `separation` apart, in one group or (for covariate and
concept shift) in two groups, `gap` apart across the line; in the second group each class has the position along the line that
the next class has in the first.
`bayes_accuracy` is the accuracy of the best classifier of a domain, by quadrature over the plane.

- `covariate`: the density changes across the line, by a ratio of exp(amount t). Labels given features are unchanged, exactly.
- `target`: class shares are uniform in the source; in the target they decrease from the first class to the last, to
  exp(-amount) of the first. Features given the label are unchanged.
- `concept`: a share `amount` of the samples is the second group. There a class has the same position along the line as in the
  first group in the source, and that of the next class in the target. The marginal distribution of features is unchanged.
- `subspace`: the line of the classes rotates by amount x 90 degrees in the plane. Shares and Bayes accuracy are unchanged.

A subspace shift rotates source and target by equal angles in opposite directions, so the two share the line in the middle. A
covariate shift is split between source and target in the same way. With amount = 0 source and target are the same.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, Literal, Self

import numpy as np
from pydantic import Field, model_validator

from tlbench.data.decoding.arrays import Array
from tlbench.terms import Strict

STEP = 0.02
"""The step of the quadrature, in standard deviations of a Gaussian."""


PATH_KEYS = ()


class Options(Strict, strict=True):
    """The shift, its strength, and which of the two domains to draw."""

    shift: Annotated[
        Literal["covariate", "target", "concept", "subspace"], Field(description="covariate, target, concept or subspace")
    ]
    part: Annotated[Literal["source", "target"], Field(description="which of the two domains")]
    amount: Annotated[float, Field(ge=0, le=20, description="how strong the shift is; 0 is none")] = 1.0
    labels: Annotated[int, Field(ge=2, le=20, description="C, the number of classes")] = 2
    dimensions: Annotated[int, Field(ge=2, le=1024, description="D, of which two matter")] = 2
    count: Annotated[int, Field(ge=2, le=10**6, description="N, the number of samples")] = 1000
    separation: Annotated[float, Field(gt=0, le=20, description="distance of neighbouring classes, in standard deviations")] = (
        3.0
    )
    gap: Annotated[float, Field(gt=0, le=20, description="distance of the two groups, in standard deviations")] = 4.0
    seed: Annotated[int, Field(ge=0, description="the seed of the plane and the samples, the same for both domains")] = 0

    @model_validator(mode="after")
    def _share(self) -> Self:
        if self.shift == "concept" and self.amount > 1:
            raise ValueError(f"amount = {self.amount:g} of a concept shift must be a share of the samples, from 0 to 1.")
        return self


@dataclass(frozen=True)
class Mixture:
    """K unit Gaussians in the plane: their means (K, 2), weights (K,) that sum to 1, and classes (K,)."""

    means: Array
    weights: Array
    classes: Array


def mixture(options: Options) -> Mixture:
    """The distribution of a domain in the plane, with the coordinates (along the line, across it)."""
    classes = np.arange(options.labels)
    is_target = options.part == "target"
    offset = options.amount / 2 if is_target else -options.amount / 2
    line = (classes - classes.mean()) * options.separation
    on_line = np.stack([line, np.zeros_like(line)], axis=1)
    shares = np.full(options.labels, 1 / options.labels)
    if options.shift == "target":
        if is_target:
            shares = np.exp(-options.amount * classes / (options.labels - 1))
        return Mixture(on_line, shares / shares.sum(), classes)
    if options.shift == "subspace":
        angle = offset * np.pi / 2
        rotation = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
        return Mixture(on_line @ rotation, shares, classes)
    across = np.array([0, options.gap / 2])
    near, far = on_line - across, on_line + across
    # the class at position c of the second group: each class has the position of the next one in the first group
    moved = np.roll(classes, 1)
    if options.shift == "concept":
        weights = np.concatenate([shares * (1 - options.amount), shares * options.amount])
        return Mixture(np.concatenate([near, far]), weights, np.concatenate([classes, moved if is_target else classes]))
    # a density times exp(b t) shifts each unit Gaussian by b, and its weight grows as exp(b t) at its mean
    means = np.concatenate([near, far])
    tilted = np.exp(offset * (means[:, 1] - means[:, 1].max() * np.sign(offset)))
    weights = np.concatenate([shares, shares]) * tilted
    return Mixture(means + np.array([0, offset]), weights / weights.sum(), np.concatenate([classes, moved]))


def bayes_accuracy(options: Options) -> float:
    """The accuracy of the best classifier of this domain, as a share: the integral of max_c p(x, c) over the plane.

    The trapezoidal rule with steps of 0.02 is accurate to about 1e-5. The cost of a shift is the distance to it of a classifier
    that was trained on the other domain only.
    """
    mix = mixture(options)
    used = mix.weights > 0
    low, high = mix.means[used].min(axis=0) - 7, mix.means[used].max(axis=0) + 7
    along, across = (np.arange(a, b, STEP) for a, b in zip(low, high, strict=True))
    total = 0.0
    densities = [np.exp(-0.5 * np.square(axis[:, None] - mix.means[:, i])) for i, axis in enumerate((along, across))]
    for start in range(0, len(along), 256):
        best = np.zeros((len(along[start : start + 256]), len(across)))
        for label in range(options.labels):
            own = np.flatnonzero(used & (mix.classes == label))
            best = np.maximum(best, (densities[0][start : start + 256, own] * mix.weights[own]) @ densities[1][:, own].T)
        total += best.sum()
    return float(total * STEP**2 / (2 * np.pi))


def read(options: Options, root: Any) -> tuple[Any, Any]:
    """Samples (N, D) and classes (N,); nothing is read from the data root. Source and target of one seed share the plane."""
    x_N2, y, rng = draw_samples(options)
    basis, _ = np.linalg.qr(np.random.default_rng([options.seed, 0]).standard_normal((options.dimensions, options.dimensions)))
    x_ND = np.concatenate([x_N2, rng.standard_normal((options.count, options.dimensions - 2))], axis=1)
    return x_ND @ basis.T, y


def draw_samples(options: Options) -> tuple[Array, Array, np.random.Generator]:
    """Samples (N, 2) in the plane, their classes (N,), and the random generator that drew them."""
    mix = mixture(options)
    rng = np.random.default_rng([options.seed, 1 if options.part == "source" else 2])
    component = rng.choice(len(mix.weights), size=options.count, p=mix.weights)
    return mix.means[component] + rng.standard_normal((options.count, 2)), mix.classes[component], rng
