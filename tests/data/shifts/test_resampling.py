"""Shifts that select samples or change their labels."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from shifted_samples import (
    VECTORS,
    apply,
    labels,
    quick,
    seeds,
)

from tlbench.errors import TlbenchError


@given(y=labels, of=st.integers(2, 6), seed=seeds)
@quick
def test_parts_are_disjoint_cover_all_samples_and_spread_the_classes(y: Any, of: int, seed: int) -> None:
    x = np.arange(len(y))[:, None]
    if len(y) < of:
        with pytest.raises(TlbenchError, match="The shift part leaves none of"):
            apply("part", x, y, seed, index=of - 1, of=of)
        return
    parts = [apply("part", x, y, seed, index=i, of=of) for i in range(of)]
    assert sorted(np.concatenate([part[0][:, 0] for part in parts])) == list(range(len(y)))
    for part_x, part_y in parts:
        assert np.array_equal(y[part_x[:, 0]], part_y)
        spread = np.bincount(part_y, minlength=5) - np.bincount(y, minlength=5) / of
        assert np.abs(spread).max() < 1


@given(y=labels, weights=st.lists(st.integers(0, 9), min_size=5, max_size=5).filter(any), seed=seeds)
@quick
def test_label_shift_meets_its_priors_with_as_many_samples_as_it_can(y: Any, weights: list[int], seed: int) -> None:
    counts = np.bincount(y, minlength=5)
    priors = np.array(weights) / sum(weights)
    x = np.arange(len(y))[:, None]
    largest = min(int(count / prior + 1e-9) for count, prior in zip(counts, priors, strict=True) if prior > 0)
    if largest == 0:
        with pytest.raises(TlbenchError, match="The shift label_shift leaves none of"):
            apply("label_shift", x, y, seed, priors=priors.tolist())
        return
    selected, selected_y = apply("label_shift", x, y, seed, priors=priors.tolist())
    assert len(selected_y) == largest and len(set(selected[:, 0])) == largest
    assert np.array_equal(y[selected[:, 0]], selected_y)
    assert np.abs(np.bincount(selected_y, minlength=5) - priors * largest).max() < 1


@given(y=labels, alpha=st.floats(0.01, 100), seed=seeds)
@quick
def test_dirichlet_priors_are_drawn_over_the_classes_that_have_samples(y: Any, alpha: float, seed: int) -> None:
    x = np.arange(len(y))[:, None]
    selected, selected_y = apply("label_shift", x, y, seed, alpha=alpha)
    assert np.array_equal(y[selected[:, 0]], selected_y) and len(set(selected[:, 0])) == len(selected)


def test_priors_must_be_one_per_class() -> None:
    with pytest.raises(TlbenchError, match="2 priors for 3 classes"):
        apply("label_shift", VECTORS, np.arange(60) % 3, priors=[0.5, 0.5])


def test_the_biased_sample_moves_towards_the_mean() -> None:
    x = np.random.default_rng(0).normal(3, 2, size=(4000, 2))
    selected, _ = apply("biased_sample", x, np.zeros(4000, np.int64), gamma=0.5)
    # N(0, 1) times exp(-z^2 / 2) is N(0, 1/2); the selected share is E exp(-z^2 / 2) = 1/2 in two dimensions
    assert len(selected) == pytest.approx(2000, rel=0.06)
    np.testing.assert_allclose(selected.std(axis=0), 2 * np.sqrt(0.5), rtol=0.06)
    with pytest.raises(TlbenchError, match="The shift biased_sample leaves none of"):
        apply("biased_sample", x, np.zeros(4000, np.int64), gamma=1e9)


def test_covariate_shift_moves_along_a_direction_and_sees_no_label() -> None:
    x = np.random.default_rng(0).normal(5, 3, size=(4000, 3))
    y = (x[:, 1] > 5).astype(np.int64)
    means = []
    for strength in (0.0, 0.5, 1.0, 3.0):
        selected, selected_y = apply("covariate_shift", x, y, strength=strength, feature=0)
        assert len(selected) == 2000 and np.array_equal(selected_y, selected[:, 1] > 5)
        means.append((selected.mean(axis=0) - 5) / 3)
    along, across = np.array(means)[:, 0], np.array(means)[:, 1:]
    assert abs(along[0]) < 0.06 and (np.diff(along) > 0.1).all() and along[-1] > 0.6
    assert np.abs(across).max() < 0.08
    random, _ = apply("covariate_shift", x, y, strength=3.0)
    assert np.linalg.norm(random.mean(axis=0) - 5) / 3 > 0.6
    with pytest.raises(TlbenchError, match="feature = 3 does not exist; samples have 3 features"):
        apply("covariate_shift", x, y, strength=1.0, feature=3)


@given(y=labels.filter(lambda y: len(np.unique(y)) > 1), share=st.floats(0, 1), more=st.floats(0, 1), seed=seeds)
@quick
def test_concept_shift_gives_far_samples_the_next_class(y: Any, share: float, more: float, seed: int) -> None:
    x = np.random.default_rng(1).normal(size=(len(y), 3))
    share, more = sorted((share, more))
    same, moved = apply("concept_shift", x, y, seed, share=share)
    changed = moved != y
    assert np.array_equal(same, x) and changed.sum() == round(share * len(y))
    present = np.unique(y)
    assert np.array_equal(moved[changed], np.roll(present, -1)[np.searchsorted(present, y[changed])])
    assert not (changed & (apply("concept_shift", x, y, seed, share=more)[1] == y)).any()
    if changed.any() and not changed.all():
        far = apply("concept_shift", x, y, seed, share=share, feature=1)[1] != y
        assert x[far, 1].min() >= x[~far, 1].max()


def test_concept_shift_needs_two_classes() -> None:
    with pytest.raises(TlbenchError, match="at least two classes"):
        apply("concept_shift", VECTORS, np.zeros(60, np.int64), share=0.5)
