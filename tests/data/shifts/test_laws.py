"""Laws that every shift obeys, and those of applying several."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import sparse
from shifted_samples import (
    FIXED,
    IMAGES,
    NEUTRAL,
    ON_IMAGES,
    ON_SERIES,
    ON_VECTORS,
    OPTIONS,
    VECTORS,
    apply,
    floats,
    images,
    quick,
    samples_for,
)

from tlbench import data
from tlbench.data import shifts
from tlbench.errors import TlbenchError


def test_the_laws_cover_every_shift() -> None:
    assert set(OPTIONS) == set(shifts.names())


@pytest.mark.parametrize("kind", OPTIONS)
def test_a_shift_follows_its_seed_and_leaves_its_input(kind: str) -> None:
    x, y = samples_for(kind)
    before = x.copy(), y.copy()
    first, again, other = (apply(kind, x, y, seed, **OPTIONS[kind]) for seed in (1, 1, 2))
    assert np.array_equal(first[0], again[0]) and np.array_equal(first[1], again[1])
    assert np.array_equal(first[0], other[0]) == (kind in FIXED)
    assert np.array_equal(x, before[0]) and np.array_equal(y, before[1])
    assert len(first[0]) == len(first[1]) and first[0].dtype == x.dtype
    first[0][:] = 0  # the result is the caller's own
    assert np.array_equal(x, before[0])


@pytest.mark.parametrize("kind", sorted(ON_IMAGES | ON_VECTORS | ON_SERIES))
def test_samples_of_another_kind_are_refused(kind: str) -> None:
    x, message = (VECTORS, "[Gg]ive their shape") if kind in ON_IMAGES | ON_SERIES else (IMAGES, r"needs vectors \(N, D\)")
    with pytest.raises(TlbenchError, match=message):
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
    x, y = samples_for(kind)
    after, labels = apply(kind, x, y, **NEUTRAL[kind])
    np.testing.assert_allclose(after, x, atol=1e-12)
    assert np.array_equal(labels, y)


def test_sparse_samples_stay_sparse_where_samples_are_selected() -> None:
    x, y = sparse.csr_array(VECTORS), np.arange(60) % 3
    for kind in ("part", "label_shift"):
        selected, _ = apply(kind, x, y, **OPTIONS[kind])
        assert sparse.issparse(selected)
        assert np.array_equal(selected.toarray(), apply(kind, VECTORS, y, **OPTIONS[kind])[0])
    for kind in ON_VECTORS | {"concept_shift", "covariate_shift"}:
        dense = apply(kind, x, y, **OPTIONS[kind])[0]
        dense = dense.toarray() if sparse.issparse(dense) else dense
        assert np.array_equal(dense, apply(kind, VECTORS, y, **OPTIONS[kind])[0])


def test_two_parts_of_one_data_set_share_no_sample(tmp_path: Path) -> None:
    table = {"reader": "scikit_learn", "name": "digits"}
    contents = []
    for index in (0, 1):
        cut = [{"kind": "part", "index": index, "of": 2, "seed": 5}]
        declaration, errors = data.declare("d", table | {"samples": 1500, "shifts": cut}, {})
        assert declaration is not None, errors
        contents.append({sample.numpy().tobytes() for sample in data.load(declaration, tmp_path).samples.x})
    assert not contents[0] & contents[1] and sum(map(len, contents)) == 1500


def test_shifts_are_applied_in_order_and_before_preparations(tmp_path: Path) -> None:
    table = {"reader": "scikit_learn", "name": "iris", "prepare": ["zscore"]}
    declaration, _ = data.declare("d", table | {"shifts": [{"kind": "scaling", "factor": 7}]}, {})
    plain, _ = data.declare("d", table, {})
    assert declaration is not None and plain is not None
    shifted, unshifted = data.load(declaration, tmp_path), data.load(plain, tmp_path)
    np.testing.assert_allclose(shifted.samples.x, unshifted.samples.x, atol=1e-5)


SEVERITIES: dict[str, tuple[str, list[float]]] = {
    "noise": ("sigma", [0.05, 0.1, 0.2, 0.4]),
    "blend": ("amount", [0.2, 0.5, 0.8, 1.0]),
    "occlusion": ("share", [0.05, 0.2, 0.5, 1.0]),
    "colour_jitter": ("strength", [0.1, 0.2, 0.4, 0.8]),
    "drift": ("sigma", [0.1, 0.3, 1.0, 3.0]),
    "subspace_shift": ("degrees", [10.0, 30.0, 60.0, 90.0]),
    "sensor_rotation": ("degrees", [10.0, 30.0, 60.0, 90.0]),
    "missing": ("share", [0.1, 0.3, 0.6, 0.9]),
}


@pytest.mark.parametrize("kind", SEVERITIES)
def test_a_higher_severity_changes_the_samples_more(kind: str) -> None:
    option, severities = SEVERITIES[kind]
    x, y = samples_for(kind)
    far = [np.abs(apply(kind, x, y, 5, **{option: severity})[0] - x.astype(float)).mean() for severity in severities]
    assert (np.diff(far) > 0).all(), far
