"""Shifts of images."""

from __future__ import annotations

import io
import tarfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from shifted_samples import (
    IMAGES,
    ON_IMAGES,
    OPTIONS,
    RNG,
    apply,
    floats,
    images,
    quick,
    seeds,
)

from tlbench import data
from tlbench.data import source_files
from tlbench.errors import TlbenchError


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
        after, _ = apply(kind, x, np.zeros(len(x), np.int64), **OPTIONS[kind])
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


@pytest.mark.parametrize("disagreement", [0.1, 0.9])
def test_color_is_that_of_colored_mnist(disagreement: float) -> None:
    # facebookresearch/DomainBed at b93c22a: ColoredMNIST.color_dataset on digits, with the generator's numbers for torch.rand
    digits, x = np.arange(24) * 7 % 10, RNG.integers(1, 256, (24, 1, 28, 28), dtype=np.uint8)
    after, labels = apply("color", x, (digits < 5).astype(np.int64), 5, disagreement=disagreement)
    assert labels.tolist() == [0, 0, 1, 1, 0, 0, 0, 0, 1, 1, 1, 0, 1, 0, 0, 1, 0, 0, 0, 1, 0, 1, 1, 1]
    channels = {
        0.1: np.array([0, 0, 1, 1, 0, 0, 0, 0, 1, 1, 1, 0, 1, 0, 0, 1, 0, 0, 0, 1, 0, 0, 1, 0]),
        0.9: np.array([1, 1, 0, 0, 1, 1, 1, 1, 0, 0, 0, 1, 0, 1, 1, 0, 1, 1, 1, 0, 1, 0, 0, 0]),
    }[disagreement]
    assert np.array_equal(after[np.arange(24), channels], x[:, 0]) and not after[np.arange(24), 1 - channels].any()


def test_color_has_its_rates_and_refuses_other_samples() -> None:
    x, y = np.full((20000, 1, 2, 2), 7, np.uint8), np.arange(20000) % 2
    after, labels = apply("color", x, y, disagreement=0.2)
    channel = (after[:, 1, 0, 0] > 0).astype(int)
    assert (labels != y).mean() == pytest.approx(0.25, abs=0.01) and (channel != labels).mean() == pytest.approx(0.2, abs=0.01)
    for samples, classes, message in ((np.repeat(x, 3, axis=1), y, "one channel"), (x, np.arange(20000) % 3, "two classes")):
        with pytest.raises(TlbenchError, match=message):
            apply("color", samples, classes, disagreement=0.2)


def test_colour_jitter_leaves_grey_grey_and_rotates_hues() -> None:
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
    half_amount, _ = apply("blend", black, None, 4, amount=0.5)
    assert np.abs(half_amount.astype(int) * 2 - patches).max() <= 2
    rough = np.abs(np.diff(apply("blend", black, None, 4, smooth=0.3)[0].astype(int), axis=3)).mean()
    assert rough > 2 * np.abs(np.diff(patches.astype(int), axis=3)).mean()
    assert apply("blend", black, None, 4, colour=True)[0].shape == (6, 3, 12, 12)


def archive(path: Path, colours: dict[str, tuple[int, int, int]]) -> None:
    with tarfile.open(path, "w") as tar:
        for name, colour in colours.items():
            encoded = io.BytesIO()
            Image.new("RGB", (40, 60), colour).save(encoded, "PNG")
            info = tarfile.TarInfo(f"photos/any/{name}.png")
            info.size = len(encoded.getvalue())
            tar.addfile(info, io.BytesIO(encoded.getvalue()))


def test_blend_cuts_patches_from_given_images(tmp_path: Path) -> None:
    """And the cache follows the archive of the patches, as it does the domain's own files."""
    archive(tmp_path / "b.tar", {"red": (200, 0, 10), "green": (0, 90, 10)})
    np.savez(tmp_path / "d.npz", x=np.full((30, 1, 8, 8), 100, np.uint8), y=np.arange(30) % 3)
    blend = {"kind": "blend", "path": "b.tar", "domain": "photos", "pixels": 32, "colour": True}
    table = {"reader": "npz", "path": "d.npz", "x": "x", "y": "y", "shifts": [blend]}
    declaration, errors = data.declare("d", table, {})
    assert declaration is not None, errors
    x = data.load(declaration, tmp_path).samples.x
    assert {tuple(image[:, 0, 0].tolist()) for image in x} == {(100, 100, 90), (100, 10, 90)}
    assert tmp_path / "b.tar" in (source_files.files_of(declaration, tmp_path) or [])
    broken, _ = data.declare("d", table | {"shifts": [blend | {"path": "c.tar"}]}, {})
    assert broken is not None
    with pytest.raises(TlbenchError, match=r"c\.tar.* is not there"):
        data.load(broken, tmp_path)
