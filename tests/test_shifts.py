"""Laws of the declared shifts."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst
from scipy import sparse

from tlbench import data
from tlbench.data import shifts
from tlbench.terms import TlbenchError

quick = settings(deadline=None, max_examples=40)
seeds = st.integers(0, 2**32)
labels = npst.arrays(np.int64, st.integers(1, 200), elements=st.integers(0, 4))
images = npst.arrays(np.uint8, st.tuples(st.integers(1, 4), st.sampled_from([1, 3]), st.integers(1, 9), st.integers(1, 9)))
floats = npst.arrays(np.float32, (3, 1, 5, 4), elements=st.floats(-4, 4, width=32, allow_subnormal=False))

RNG = np.random.default_rng(0)
IMAGES = RNG.integers(0, 256, (30, 1, 8, 8), dtype=np.uint8)
VECTORS = RNG.normal(size=(60, 4))
OPTIONS: dict[str, Any] = {
    "rotation": {"degrees": 30.0},
    "inversion": {},
    "noise": {"sigma": 0.2},
    "blur": {"sigma": 1.0},
    "contrast": {"factor": 0.5},
    "part": {"index": 0, "of": 3},
    "label_shift": {"alpha": 1.0},
    "biased_sample": {"gamma": 0.1},
    "scaling": {"factor": 2.0},
    "missing": {"share": 0.3},
}
DRAWN = {"noise", "part", "label_shift", "biased_sample", "missing"}
ON_IMAGES = {"rotation", "inversion", "noise", "blur", "contrast"}
ON_VECTORS = {"biased_sample", "scaling", "missing"}


def apply(kind: str, x: Any, y: Any, seed: int = 0, **options: Any) -> tuple[Any, Any]:
    shifted, kept_y = shifts.kinds.function(kind)(x, y, shifts.generator(kind, seed), **options)
    return shifted, kept_y


def rows_of(kind: str) -> tuple[Any, Any]:
    x = IMAGES if kind in ON_IMAGES else VECTORS
    return x, np.arange(len(x)) % 3


def test_every_shift_is_held_to_the_laws() -> None:
    assert set(OPTIONS) == set(shifts.names())


@pytest.mark.parametrize("kind", OPTIONS)
def test_a_shift_follows_its_seed_and_leaves_its_input(kind: str) -> None:
    x, y = rows_of(kind)
    before = x.copy(), y.copy()
    first, again, other = (apply(kind, x, y, seed, **OPTIONS[kind]) for seed in (1, 1, 2))
    assert np.array_equal(first[0], again[0]) and np.array_equal(first[1], again[1])
    assert np.array_equal(first[0], other[0]) == (kind not in DRAWN)
    assert np.array_equal(x, before[0]) and np.array_equal(y, before[1])
    assert len(first[0]) == len(first[1]) and first[0].dtype == x.dtype
    first[0][:] = 0  # the result is the caller's own
    assert np.array_equal(x, before[0])


@pytest.mark.parametrize("kind", sorted(ON_IMAGES | ON_VECTORS))
def test_rows_of_the_wrong_kind_are_refused(kind: str) -> None:
    x, said = (VECTORS, "give their shape") if kind in ON_IMAGES else (IMAGES, r"is for vectors \(N, D\)")
    with pytest.raises(TlbenchError, match=said):
        apply(kind, x, np.zeros(len(x), np.int64), **OPTIONS[kind])


@pytest.mark.parametrize("kind", ["rotation", "noise", "blur", "contrast"])
@given(x=st.one_of(images, floats))
@quick
def test_the_neutral_option_changes_nothing(kind: str, x: Any) -> None:
    option: Any = {"rotation": {"degrees": 0.0}, "contrast": {"factor": 1.0}}.get(kind, {"sigma": 0.0})
    after, _ = apply(kind, x, np.zeros(len(x), np.int64), **option)
    assert after.dtype == x.dtype
    np.testing.assert_allclose(after, x, atol=0 if x.dtype == np.uint8 else 1e-5)


@given(x=images, y=st.just(None))
@quick
def test_inverting_twice_is_the_identity(x: Any, y: Any) -> None:
    once, _ = apply("inversion", x, y)
    assert np.array_equal(once, 255 - x)
    assert np.array_equal(apply("inversion", once, y)[0], x)


@given(x=floats)
@quick
def test_images_of_floats_stay_in_their_range(x: Any) -> None:
    for kind in ON_IMAGES:
        after, _ = apply(kind, x, None, **OPTIONS[kind])
        assert after.dtype == x.dtype and after.min() >= x.min() and after.max() <= x.max()
    twice = apply("inversion", apply("inversion", x, None)[0], None)[0]
    np.testing.assert_allclose(twice, x, atol=1e-5)


def test_a_quarter_turn_is_a_transposed_mirror() -> None:
    turned, _ = apply("rotation", IMAGES, None, degrees=90.0)
    assert np.array_equal(turned, np.rot90(IMAGES, axes=(2, 3)))
    assert np.array_equal(apply("rotation", IMAGES, None, degrees=360.0)[0], IMAGES)


def test_a_long_domain_is_changed_like_a_short_one() -> None:
    many = np.tile(IMAGES, (200, 1, 1, 1))
    after, _ = apply("blur", many, None, sigma=1.0)
    assert np.array_equal(after[-len(IMAGES) :], apply("blur", IMAGES, None, sigma=1.0)[0])


def test_noise_is_a_share_of_the_range() -> None:
    grey = np.full((50, 1, 20, 20), 128, dtype=np.uint8)
    after, _ = apply("noise", grey, None, sigma=0.1)
    assert np.std(after.astype(float)) == pytest.approx(25.5, rel=0.03)


@given(y=labels, of=st.integers(2, 6), seed=seeds)
@quick
def test_parts_are_disjoint_cover_all_rows_and_spread_the_classes(y: Any, of: int, seed: int) -> None:
    x = np.arange(len(y))[:, None]
    if len(y) < of:
        with pytest.raises(TlbenchError, match="part leaves no row"):
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
def test_label_shift_meets_its_priors_with_as_many_rows_as_it_can(y: Any, weights: list[int], seed: int) -> None:
    counts = np.bincount(y, minlength=5)
    priors = np.array(weights) / sum(weights)
    x = np.arange(len(y))[:, None]
    largest = min(int(count / prior + 1e-9) for count, prior in zip(counts, priors, strict=True) if prior > 0)
    if largest == 0:
        with pytest.raises(TlbenchError, match="label_shift leaves no row"):
            apply("label_shift", x, y, seed, priors=priors.tolist())
        return
    kept, kept_y = apply("label_shift", x, y, seed, priors=priors.tolist())
    assert len(kept_y) == largest and len(set(kept[:, 0])) == largest
    assert np.array_equal(y[kept[:, 0]], kept_y)
    assert np.abs(np.bincount(kept_y, minlength=5) - priors * largest).max() < 1


@given(y=labels, alpha=st.floats(0.01, 100), seed=seeds)
@quick
def test_dirichlet_priors_are_drawn_over_the_classes_there_are(y: Any, alpha: float, seed: int) -> None:
    x = np.arange(len(y))[:, None]
    kept, kept_y = apply("label_shift", x, y, seed, alpha=alpha)
    assert np.array_equal(y[kept[:, 0]], kept_y) and len(set(kept[:, 0])) == len(kept)


def test_priors_must_be_one_a_class() -> None:
    with pytest.raises(TlbenchError, match="2 priors for 3 classes"):
        apply("label_shift", VECTORS, np.arange(60) % 3, priors=[0.5, 0.5])


def test_the_biased_sample_moves_towards_the_mean() -> None:
    x = np.random.default_rng(0).normal(3, 2, size=(4000, 2))
    kept, _ = apply("biased_sample", x, np.zeros(4000, np.int64), gamma=0.5)
    # N(0, 1) times exp(-z^2 / 2) is N(0, 1/2); the share kept is E exp(-z^2 / 2) = 1/2 in two dimensions
    assert len(kept) == pytest.approx(2000, rel=0.06)
    np.testing.assert_allclose(kept.std(axis=0), 2 * np.sqrt(0.5), rtol=0.06)
    with pytest.raises(TlbenchError, match="biased_sample leaves no row"):
        apply("biased_sample", x, np.zeros(4000, np.int64), gamma=1e9)


@given(share=st.floats(0, 1), seed=seeds)
@quick
def test_missing_entries_become_the_mean_of_those_left(share: float, seed: int) -> None:
    after, _ = apply("missing", VECTORS, np.zeros(60, np.int64), seed, share=share)
    lost = after != VECTORS
    assert lost.mean() == pytest.approx(share, abs=0.2)
    for column in range(4):
        left = VECTORS[~lost[:, column], column]
        expected = left.mean() if len(left) else VECTORS[:, column].mean()
        np.testing.assert_allclose(after[lost[:, column], column], expected)


def test_sparse_rows_stay_sparse_where_rows_are_chosen() -> None:
    x, y = sparse.csr_array(VECTORS), np.arange(60) % 3
    for kind in ("part", "label_shift"):
        kept, _ = apply(kind, x, y, **OPTIONS[kind])
        assert sparse.issparse(kept)
        assert np.array_equal(kept.toarray(), apply(kind, VECTORS, y, **OPTIONS[kind])[0])
    for kind in ON_VECTORS:
        assert np.array_equal(apply(kind, x, y, **OPTIONS[kind])[0], apply(kind, VECTORS, y, **OPTIONS[kind])[0])


def test_two_domains_cut_from_one_data_set_share_no_row(tmp_path: Path) -> None:
    table = {"reader": "scikit_learn", "name": "digits"}
    seen = []
    for index in (0, 1):
        cut = [{"kind": "part", "index": index, "of": 2, "seed": 5}]
        declaration, wrong = data.declare("d", table | {"rows": 1500, "shifts": cut}, {})
        assert declaration is not None, wrong
        seen.append({row.numpy().tobytes() for row in data.load(declaration, tmp_path).rows.x})
    assert not seen[0] & seen[1] and sum(map(len, seen)) == 1500


def test_shifts_come_in_their_order_and_before_preparations(tmp_path: Path) -> None:
    table = {"reader": "scikit_learn", "name": "iris", "prepare": ["zscore"]}
    declaration, _ = data.declare("d", table | {"shifts": [{"kind": "scaling", "factor": 7}]}, {})
    plain, _ = data.declare("d", table, {})
    assert declaration is not None and plain is not None
    shifted, unshifted = data.load(declaration, tmp_path), data.load(plain, tmp_path)
    np.testing.assert_allclose(shifted.rows.x, unshifted.rows.x, atol=1e-5)
