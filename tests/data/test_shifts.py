"""Laws of the declared shifts."""

from __future__ import annotations

import io
import tarfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst
from PIL import Image
from scipy import sparse

from tlbench import data
from tlbench.data import shifts
from tlbench.errors import TlbenchError

quick = settings(deadline=None, max_examples=40)
seeds = st.integers(0, 2**32)
labels = npst.arrays(np.int64, st.integers(1, 200), elements=st.integers(0, 4))
images = npst.arrays(np.uint8, st.tuples(st.integers(1, 4), st.sampled_from([1, 3]), st.integers(1, 9), st.integers(1, 9)))
floats = npst.arrays(np.float32, (3, 1, 5, 4), elements=st.floats(-4, 4, width=32, allow_subnormal=False))

RNG = np.random.default_rng(0)
IMAGES = RNG.integers(0, 256, (30, 1, 8, 8), dtype=np.uint8)
VECTORS = RNG.normal(size=(60, 4))
SERIES = RNG.normal(size=(20, 6, 32))
OPTIONS: dict[str, Any] = {
    "rotation": {"degrees": 30.0},
    "inversion": {},
    "noise": {"sigma": 0.2},
    "blur": {"sigma": 1.0},
    "contrast": {"factor": 0.5},
    "colour_jitter": {"strength": 0.5},
    "zoom": {"factor": 0.7},
    "occlusion": {"share": 0.2},
    "blend": {},
    "part": {"index": 0, "of": 3},
    "label_shift": {"alpha": 1.0},
    "biased_sample": {"gamma": 0.1},
    "scaling": {"factor": 2.0},
    "missing": {"share": 0.3},
    "covariate_shift": {"strength": 1.0},
    "concept_shift": {"share": 0.3},
    "subspace_shift": {"degrees": 40.0},
    "sensor_rotation": {"degrees": 40.0},
    "rate_change": {"factor": 1.3},
    "drift": {"sigma": 0.5},
}
ON_IMAGES = {"rotation", "inversion", "noise", "blur", "contrast", "colour_jitter", "zoom", "occlusion", "blend"}
ON_VECTORS = {"biased_sample", "scaling", "missing", "subspace_shift"}
ON_SERIES = {"sensor_rotation", "rate_change", "drift"}
FIXED = {"rotation", "inversion", "blur", "contrast", "zoom", "scaling", "rate_change", "concept_shift"}
"""Kinds whose rows do not follow the seed (concept_shift's labels do)."""
NEUTRAL: dict[str, Any] = {
    "rotation": {"degrees": 0.0},
    "noise": {"sigma": 0.0},
    "blur": {"sigma": 0.0},
    "contrast": {"factor": 1.0},
    "colour_jitter": {"strength": 0.0},
    "zoom": {"factor": 1.0},
    "occlusion": {"share": 0.0},
    "blend": {"amount": 0.0},
    "subspace_shift": {"degrees": 0.0},
    "sensor_rotation": {"degrees": 0.0},
    "rate_change": {"factor": 1.0},
    "drift": {"sigma": 0.0},
    "scaling": {"factor": 1.0},
    "missing": {"share": 0.0},
    "concept_shift": {"share": 0.0},
    "covariate_shift": {"strength": 3.0, "share": 1.0},
}


def apply(kind: str, x: Any, y: Any, seed: int = 0, **options: Any) -> tuple[Any, Any]:
    made = shifts.kinds.function(kind)(x, y, shifts.generator(kind, seed), **options)
    assert isinstance(made, tuple) == (kind not in shifts.CHOICES)
    return made if isinstance(made, tuple) else (x[made], y[made])


def rows_of(kind: str) -> tuple[Any, Any]:
    x = IMAGES if kind in ON_IMAGES else SERIES if kind in ON_SERIES else VECTORS
    return x, np.arange(len(x)) % 3


def test_every_shift_is_held_to_the_laws() -> None:
    assert set(OPTIONS) == set(shifts.names())


@pytest.mark.parametrize("kind", OPTIONS)
def test_a_shift_follows_its_seed_and_leaves_its_input(kind: str) -> None:
    x, y = rows_of(kind)
    before = x.copy(), y.copy()
    first, again, other = (apply(kind, x, y, seed, **OPTIONS[kind]) for seed in (1, 1, 2))
    assert np.array_equal(first[0], again[0]) and np.array_equal(first[1], again[1])
    assert np.array_equal(first[0], other[0]) == (kind in FIXED)
    assert np.array_equal(x, before[0]) and np.array_equal(y, before[1])
    assert len(first[0]) == len(first[1]) and first[0].dtype == x.dtype
    first[0][:] = 0  # the result is the caller's own
    assert np.array_equal(x, before[0])


@pytest.mark.parametrize("kind", sorted(ON_IMAGES | ON_VECTORS | ON_SERIES))
def test_rows_of_the_wrong_kind_are_refused(kind: str) -> None:
    x, said = (VECTORS, "give their shape") if kind in ON_IMAGES | ON_SERIES else (IMAGES, r"is for vectors \(N, D\)")
    with pytest.raises(TlbenchError, match=said):
        apply(kind, x, np.zeros(len(x), np.int64), **OPTIONS[kind])


@pytest.mark.parametrize("kind", sorted(ON_IMAGES & set(NEUTRAL)))
@given(x=st.one_of(images, floats))
@quick
def test_the_neutral_option_changes_no_image(kind: str, x: Any) -> None:
    after, _ = apply(kind, x, np.zeros(len(x), np.int64), **NEUTRAL[kind])
    assert after.dtype == x.dtype
    np.testing.assert_allclose(after, x, atol=0 if x.dtype == np.uint8 else 1e-5)


@pytest.mark.parametrize("kind", sorted(set(NEUTRAL) - ON_IMAGES))
def test_the_neutral_option_changes_nothing(kind: str) -> None:
    x, y = rows_of(kind)
    after, labels = apply(kind, x, y, **NEUTRAL[kind])
    np.testing.assert_allclose(after, x, atol=1e-12)
    assert np.array_equal(labels, y)


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
    for kind in ON_VECTORS | {"concept_shift", "covariate_shift"}:
        dense = apply(kind, x, y, **OPTIONS[kind])[0]
        dense = dense.toarray() if sparse.issparse(dense) else dense
        assert np.array_equal(dense, apply(kind, VECTORS, y, **OPTIONS[kind])[0])


def test_two_domains_cut_from_one_data_set_share_no_row(tmp_path: Path) -> None:
    table = {"reader": "scikit_learn", "name": "digits"}
    seen = []
    for index in (0, 1):
        cut = [{"kind": "part", "index": index, "of": 2, "seed": 5}]
        declaration, wrong = data.declare("d", table | {"samples": 1500, "shifts": cut}, {})
        assert declaration is not None, wrong
        seen.append({row.numpy().tobytes() for row in data.load(declaration, tmp_path).samples.x})
    assert not seen[0] & seen[1] and sum(map(len, seen)) == 1500


def test_shifts_come_in_their_order_and_before_preparations(tmp_path: Path) -> None:
    table = {"reader": "scikit_learn", "name": "iris", "prepare": ["zscore"]}
    declaration, _ = data.declare("d", table | {"shifts": [{"kind": "scaling", "factor": 7}]}, {})
    plain, _ = data.declare("d", table, {})
    assert declaration is not None and plain is not None
    shifted, unshifted = data.load(declaration, tmp_path), data.load(plain, tmp_path)
    np.testing.assert_allclose(shifted.samples.x, unshifted.samples.x, atol=1e-5)


# --- images ---


def test_zoom_shows_the_middle_larger_or_in_a_frame() -> None:
    x = np.zeros((1, 1, 16, 16), np.uint8)
    x[:, :, 6:10, 6:10] = 200
    larger, _ = apply("zoom", x, None, factor=2.0)
    smaller, _ = apply("zoom", x, None, factor=0.5)
    assert larger[0, 0, 5:11, 5:11].min() == 200 and larger.sum() == pytest.approx(4 * x.sum(), rel=0.15)
    assert smaller.sum() == pytest.approx(x.sum() / 4, rel=0.15)
    framed, _ = apply("zoom", np.full((1, 3, 16, 16), 90, np.uint8), None, factor=0.5)
    assert framed[0, :, 0].max() == 0 and framed[0, :, 8, 8].tolist() == [90, 90, 90]


@given(share=st.floats(0, 1), seed=seeds, x=images)
@quick
def test_occlusion_covers_one_box_of_its_share(share: float, seed: int, x: Any) -> None:
    after, _ = apply("occlusion", x, None, seed, share=share)
    sides = [round(np.sqrt(share) * side) for side in x.shape[2:]]
    for image, before in zip(after, x, strict=True):
        changed = (image != before).any(axis=0)
        assert changed.sum() <= sides[0] * sides[1]
        assert (image[:, changed] == 128).all()
        rows, columns = np.flatnonzero(changed.any(axis=1)), np.flatnonzero(changed.any(axis=0))
        if len(rows):
            assert np.ptp(rows) < sides[0] and np.ptp(columns) < sides[1]


def test_colour_jitter_keeps_grey_grey_and_turns_colours() -> None:
    grey = np.repeat(RNG.integers(60, 180, (20, 1, 8, 8), dtype=np.uint8), 3, axis=1)
    after, _ = apply("colour_jitter", grey, None, strength=0.3)
    assert np.abs(after.astype(int) - after[:, :1]).max() <= 1  # rounding
    red = np.zeros((200, 3, 4, 4), np.uint8)
    red[:, 0], red[:, 1:] = 160, 60
    weak, strong = (apply("colour_jitter", red, None, strength=s)[0].astype(float) for s in (0.1, 0.9))
    assert weak[:, 0].mean() > weak[:, 1].mean() + 60
    assert strong.std(axis=0).mean() > 3 * weak.std(axis=0).mean()


def test_blend_is_the_difference_from_a_patch() -> None:
    black = np.zeros((6, 1, 12, 12), np.uint8)
    patches, _ = apply("blend", black, None, 4)
    white, _ = apply("blend", black + 255, None, 4)
    assert np.abs(patches.astype(int) + white - 255).max() <= 1
    assert (patches.max(axis=(1, 2, 3)) == 255).all() and (patches.min(axis=(1, 2, 3)) == 0).all()
    half, _ = apply("blend", black, None, 4, amount=0.5)
    assert np.abs(half.astype(int) * 2 - patches).max() <= 2
    rough = np.abs(np.diff(apply("blend", black, None, 4, smooth=0.3)[0].astype(int), axis=3)).mean()
    assert rough > 2 * np.abs(np.diff(patches.astype(int), axis=3)).mean()
    assert apply("blend", black, None, 4, colour=True)[0].shape == (6, 3, 12, 12)


def archive(path: Path, colours: dict[str, tuple[int, int, int]]) -> None:
    with tarfile.open(path, "w") as tar:
        for name, colour in colours.items():
            held = io.BytesIO()
            Image.new("RGB", (40, 60), colour).save(held, "PNG")
            info = tarfile.TarInfo(f"photos/any/{name}.png")
            info.size = len(held.getvalue())
            tar.addfile(info, io.BytesIO(held.getvalue()))


def test_blend_takes_patches_of_given_images(tmp_path: Path) -> None:
    """And the cache follows the archive of the patches, as it does the domain's own files."""
    archive(tmp_path / "b.tar", {"red": (200, 0, 10), "green": (0, 90, 10)})
    np.savez(tmp_path / "d.npz", x=np.full((30, 1, 8, 8), 100, np.uint8), y=np.arange(30) % 3)
    blend = {"kind": "blend", "path": "b.tar", "domain": "photos", "pixels": 32, "colour": True}
    table = {"reader": "npz", "path": "d.npz", "x": "x", "y": "y", "shifts": [blend]}
    declaration, wrong = data.declare("d", table, {})
    assert declaration is not None, wrong
    x = data.load(declaration, tmp_path).samples.x
    assert {tuple(row[:, 0, 0].tolist()) for row in x} == {(100, 100, 90), (100, 10, 90)}
    assert tmp_path / "b.tar" in (data.sources.files_of(declaration, tmp_path) or [])
    broken, _ = data.declare("d", table | {"shifts": [blend | {"path": "c.tar"}]}, {})
    assert broken is not None
    with pytest.raises(TlbenchError, match=r"c\.tar.* is not there"):
        data.load(broken, tmp_path)


# --- rows and vectors ---


def test_covariate_shift_moves_along_a_direction_and_sees_no_label() -> None:
    x = np.random.default_rng(0).normal(5, 3, size=(4000, 3))
    y = (x[:, 1] > 5).astype(np.int64)
    means = []
    for strength in (0.0, 0.5, 1.0, 3.0):
        kept, kept_y = apply("covariate_shift", x, y, strength=strength, feature=0)
        assert len(kept) == 2000 and np.array_equal(kept_y, kept[:, 1] > 5)
        means.append((kept.mean(axis=0) - 5) / 3)
    along, across = np.array(means)[:, 0], np.array(means)[:, 1:]
    assert abs(along[0]) < 0.06 and (np.diff(along) > 0.1).all() and along[-1] > 0.6
    assert np.abs(across).max() < 0.08
    random, _ = apply("covariate_shift", x, y, strength=3.0)
    assert np.linalg.norm(random.mean(axis=0) - 5) / 3 > 0.6
    with pytest.raises(TlbenchError, match="feature = 3 of rows with 3 features"):
        apply("covariate_shift", x, y, strength=1.0, feature=3)


@given(y=labels.filter(lambda y: len(np.unique(y)) > 1), share=st.floats(0, 1), more=st.floats(0, 1), seed=seeds)
@quick
def test_concept_shift_gives_far_rows_the_next_class(y: Any, share: float, more: float, seed: int) -> None:
    x = np.random.default_rng(1).normal(size=(len(y), 3))
    share, more = sorted((share, more))
    same, moved = apply("concept_shift", x, y, seed, share=share)
    changed = moved != y
    assert np.array_equal(same, x) and changed.sum() == round(share * len(y))
    there = np.unique(y)
    assert np.array_equal(moved[changed], np.roll(there, -1)[np.searchsorted(there, y[changed])])
    assert not (changed & (apply("concept_shift", x, y, seed, share=more)[1] == y)).any()
    if changed.any() and not changed.all():
        far = apply("concept_shift", x, y, seed, share=share, feature=1)[1] != y
        assert x[far, 1].min() >= x[~far, 1].max()


def test_concept_shift_needs_two_classes() -> None:
    with pytest.raises(TlbenchError, match="two classes at least"):
        apply("concept_shift", VECTORS, np.zeros(60, np.int64), share=0.5)


@given(degrees=st.floats(-360, 360), more=st.floats(-360, 360), seed=seeds)
@quick
def test_subspace_shift_turns_and_stretches_nothing(degrees: float, more: float, seed: int) -> None:
    """Distances of rows of unit deviation, on features that are uncorrelated."""
    x = np.linalg.qr(np.random.default_rng(2).normal(size=(60, 4)))[0]
    x = (x - x.mean(axis=0)) @ np.linalg.inv(np.linalg.cholesky(np.cov(x.T, ddof=0))).T
    y = np.zeros(60, np.int64)
    once, _ = apply("subspace_shift", 3 + 2 * x, y, seed, degrees=degrees)
    np.testing.assert_allclose(once.mean(axis=0), 3, atol=1e-9)
    z = (once - 3) / 2
    np.testing.assert_allclose(z @ z.T, x @ x.T, atol=1e-8)
    np.testing.assert_allclose((z * x).sum(axis=1), np.cos(np.radians(degrees)) * (x * x).sum(axis=1), atol=1e-8)
    twice, _ = apply("subspace_shift", once, y, seed, degrees=more)
    np.testing.assert_allclose(twice, apply("subspace_shift", 3 + 2 * x, y, seed, degrees=degrees + more)[0], atol=1e-7)


def test_subspace_shift_leaves_constants_and_counts_its_planes() -> None:
    x = np.concatenate([VECTORS, np.full((60, 2), 7.0)], axis=1)
    after, _ = apply("subspace_shift", x, None, degrees=50.0)
    assert (after[:, 4:] == 7).all() and np.linalg.matrix_rank(after - x, tol=1e-8) == 4
    one, _ = apply("subspace_shift", x, None, degrees=50.0, planes=1)
    z = (one - x)[:, :4] / x[:, :4].std(axis=0)
    assert np.linalg.matrix_rank(z, tol=1e-8) == 2
    for wide, planes in ((x, 3), (x[:, :1], None)):
        with pytest.raises(TlbenchError, match="features that vary"):
            apply("subspace_shift", wide, None, degrees=50.0, planes=planes)


# --- series ---


@given(degrees=st.floats(-360, 360), seed=seeds)
@quick
def test_sensor_rotation_keeps_the_length_of_every_sample(degrees: float, seed: int) -> None:
    turned, _ = apply("sensor_rotation", SERIES, None, seed, degrees=degrees)
    lengths = [np.linalg.norm(x.reshape(20, 2, 3, 32), axis=2) for x in (turned, SERIES)]
    np.testing.assert_allclose(*lengths, atol=1e-12)
    np.testing.assert_allclose(apply("sensor_rotation", turned, None, seed, degrees=-degrees)[0], SERIES, atol=1e-12)


def test_sensor_rotation_needs_three_axes() -> None:
    with pytest.raises(TlbenchError, match="three by three"):
        apply("sensor_rotation", SERIES[:, :4], None, degrees=3.0)


def test_rate_change_plays_faster_about_the_middle() -> None:
    time = np.arange(101.0)
    x = np.stack([time, np.sin(time / 5)])[None]
    fast, _ = apply("rate_change", x, None, factor=2.0)
    assert fast[0, 0, 50] == 50 and fast[0, 0, 60] == 70
    assert fast[0, 0, 0] == 50 and fast[0, 0, 100] == 50  # mirrored at the ends
    slow, _ = apply("rate_change", x, None, factor=0.5)
    assert slow[0, 0, 0] == 25 and slow[0, 0, 100] == 75 and slow[0, 0, 51] == 50.5
    for factor in (0.3, 1.7, 9.0):
        after, _ = apply("rate_change", SERIES, None, factor=factor)
        assert after.min() >= SERIES.min() and after.max() <= SERIES.max()
    assert np.array_equal(apply("rate_change", SERIES[:, :, :1], None, factor=3.0)[0], SERIES[:, :, :1])


def test_drift_begins_at_nothing_and_ends_as_it_says() -> None:
    x = np.random.default_rng(3).normal(size=(3000, 2, 9)) * np.array([1.0, 5.0])[:, None]
    moved, _ = apply("drift", x, None, sigma=0.5)
    added = moved - x
    assert (added[:, :, 0] == 0).all()
    np.testing.assert_allclose(added[:, :, 4] * 2, added[:, :, 8], atol=1e-9)
    np.testing.assert_allclose(added[:, :, 8].std(axis=0), [0.5, 2.5], rtol=0.06)


# --- severity ---

LADDERS: dict[str, tuple[str, list[float]]] = {
    "noise": ("sigma", [0.05, 0.1, 0.2, 0.4]),
    "blend": ("amount", [0.2, 0.5, 0.8, 1.0]),
    "occlusion": ("share", [0.05, 0.2, 0.5, 1.0]),
    "colour_jitter": ("strength", [0.1, 0.2, 0.4, 0.8]),
    "drift": ("sigma", [0.1, 0.3, 1.0, 3.0]),
    "subspace_shift": ("degrees", [10.0, 30.0, 60.0, 90.0]),
    "sensor_rotation": ("degrees", [10.0, 30.0, 60.0, 90.0]),
    "missing": ("share", [0.1, 0.3, 0.6, 0.9]),
}


@pytest.mark.parametrize("kind", LADDERS)
def test_a_higher_step_is_farther_from_where_it_began(kind: str) -> None:
    option, steps = LADDERS[kind]
    x, y = rows_of(kind)
    far = [np.abs(apply(kind, x, y, 5, **{option: step})[0] - x.astype(float)).mean() for step in steps]
    assert (np.diff(far) > 0).all(), far
