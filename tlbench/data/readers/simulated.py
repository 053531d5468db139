"""Simulated data with a known answer: a source and a target of Gaussian classes that differ by one kind of shift.

All that matters happens in a plane, which lies at random in a space of `dimensions`; the other directions are noise. In
the plane every class is one or two unit Gaussians. Their means stand on a line, `separation` apart, in one group or (for
covariate and concept shift) in two groups `gap` apart across the line; in the second group every class stands where the
next class stands in the first.
`bayes_accuracy` is what the best classifier of a domain reaches, by quadrature over the plane.

- `covariate`: rows lie elsewhere across the line, by a density ratio of exp(amount t). Labels given features stay, exactly.
- `target`: class shares are uniform in the source and fall in the target, to exp(-amount) from the first class to the last.
  Features given the label stay.
- `concept`: a share `amount` of the rows is the second group. There each class stands as in the first group in the source,
  and where the next class stands in the target. Features stay, as a whole.
- `subspace`: the line of the classes turns by amount x 90 degrees in the plane. Shares and the Bayes accuracy stay.

Half of a subspace shift is in either domain, so the line half-way between the two is what they share. Half of a covariate
shift is in either, too. With amount = 0 source and target are alike.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, Literal, Self

import numpy as np
from pydantic import Field, model_validator

from tlbench.data.decoding.arrays import Array
from tlbench.terms import Strict

STEP = 0.02
"""Of the quadrature, in deviations of a Gaussian."""


class Options(Strict, strict=True):
    """Which shift, how strong, and which side of it."""

    shift: Annotated[
        Literal["covariate", "target", "concept", "subspace"], Field(description="covariate, target, concept or subspace")
    ]
    part: Annotated[Literal["source", "target"], Field(description="which of the two domains")]
    amount: Annotated[float, Field(ge=0, le=20, description="how strong the shift is; 0 is none")] = 1.0
    labels: Annotated[int, Field(ge=2, le=20, description="C, the number of classes")] = 2
    dimensions: Annotated[int, Field(ge=2, le=1024, description="D, of which two matter")] = 2
    count: Annotated[int, Field(ge=2, le=10**6, description="rows that are drawn")] = 1000
    separation: Annotated[float, Field(gt=0, le=20, description="of neighbouring classes, in deviations")] = 3.0
    gap: Annotated[float, Field(gt=0, le=20, description="between the two groups, in deviations")] = 4.0
    seed: Annotated[int, Field(ge=0, description="of the plane and the rows; one seed for both parts")] = 0

    @model_validator(mode="after")
    def _share(self) -> Self:
        if self.shift == "concept" and self.amount > 1:
            raise ValueError(f"amount = {self.amount:g} of a concept shift must be a share of the rows, from 0 to 1")
        return self


@dataclass(frozen=True)
class Mixture:
    """Unit Gaussians in the plane: means (K, 2), weights (K,) that sum to 1, and the class (K,) of each."""

    means: Array
    weights: Array
    classes: Array


def mixture(options: Options) -> Mixture:
    """The distribution that the rows of a domain are drawn from, in the plane: (along the line, across it)."""
    first = np.arange(options.labels)
    later = options.part == "target"
    half = options.amount / 2 if later else -options.amount / 2
    line = (first - first.mean()) * options.separation
    one = np.stack([line, np.zeros_like(line)], axis=1)
    shares = np.full(options.labels, 1 / options.labels)
    if options.shift == "target":
        if later:
            shares = np.exp(-options.amount * first / (options.labels - 1))
        return Mixture(one, shares / shares.sum(), first)
    if options.shift == "subspace":
        angle = half * np.pi / 2
        return Mixture(one @ np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]]), shares, first)
    across = np.array([0, options.gap / 2])
    near, far = one - across, one + across
    # who stands where class c stands in the first group: the class before it, if classes stand where the next one stood
    moved = np.roll(first, 1)
    if options.shift == "concept":
        weights = np.concatenate([shares * (1 - options.amount), shares * options.amount])
        return Mixture(np.concatenate([near, far]), weights, np.concatenate([first, moved if later else first]))
    # a density times exp(b t): each unit Gaussian moves by b, and gains weight as exp(b t) at its mean
    means = np.concatenate([near, far])
    tilted = np.exp(half * (means[:, 1] - means[:, 1].max() * np.sign(half)))
    weights = np.concatenate([shares, shares]) * tilted
    return Mixture(means + np.array([0, half]), weights / weights.sum(), np.concatenate([first, moved]))


def bayes_accuracy(options: Options) -> float:
    """The accuracy of the best classifier of this domain, as a share: the integral of max_c p(x, c) over the plane.

    By the trapezoidal rule with steps of 0.02; right to about 1e-5. How far it is out of reach for a classifier that saw
    the other domain only is what the shift costs.
    """
    mix = mixture(options)
    used = mix.weights > 0
    low, high = mix.means[used].min(axis=0) - 7, mix.means[used].max(axis=0) + 7
    along, across = (np.arange(a, b, STEP) for a, b in zip(low, high, strict=True))
    total = 0.0
    bells = [np.exp(-0.5 * np.square(axis[:, None] - mix.means[:, i])) for i, axis in enumerate((along, across))]
    for start in range(0, len(along), 256):
        best = np.zeros((len(along[start : start + 256]), len(across)))
        for name in range(options.labels):
            own = np.flatnonzero(used & (mix.classes == name))
            best = np.maximum(best, (bells[0][start : start + 256, own] * mix.weights[own]) @ bells[1][:, own].T)
        total += best.sum()
    return float(total * STEP**2 / (2 * np.pi))


def read(options: Options, root: Any) -> tuple[Any, Any]:
    """Rows (N, D) and classes (N,); nothing is read from the data root. The parts of one seed lie in the same space."""
    x_N2, y, rng = drawn(options)
    frame, _ = np.linalg.qr(np.random.default_rng([options.seed, 0]).standard_normal((options.dimensions, options.dimensions)))
    x_ND = np.concatenate([x_N2, rng.standard_normal((options.count, options.dimensions - 2))], axis=1)
    return x_ND @ frame.T, y


def drawn(options: Options) -> tuple[Array, Array, np.random.Generator]:
    """Rows (N, 2) in the plane, their classes (N,), and the generator that drew them."""
    mix = mixture(options)
    rng = np.random.default_rng([options.seed, 1 if options.part == "source" else 2])
    component = rng.choice(len(mix.weights), size=options.count, p=mix.weights)
    return mix.means[component] + rng.standard_normal((options.count, 2)), mix.classes[component], rng
