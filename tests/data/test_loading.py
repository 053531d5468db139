"""From what a reader returns to a Domain: checks of the content, classes, test samples, fingerprints."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.io
import torch
from domain_tables import load_domain, refused_domain
from scipy import sparse
from small_files import IRIS, MAT, NPZ, X, Y, write_npz, write_small_files

from tlbench.data.decoding import arrays
from tlbench.data.labels import classes as labels
from tlbench.errors import TlbenchError


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return write_small_files(tmp_path)


@pytest.mark.parametrize(
    ("x", "y", "message"),
    [
        (X[:5], Y, "x has 5 samples (5, 5) and y 8 labels"),
        (X[:0], Y[:0], "The domain is empty: x has the shape (0, 5)"),
        (X[:, :0], Y, "The domain is empty: x has the shape (8, 0)"),
        (np.array(3.0), Y, "x is a single number"),
        (X.astype("U"), Y, "not numbers"),
        (X.astype(complex), Y, "x holds complex128, not numbers"),
        (np.where(X == 7, np.nan, X), Y, "1 features are NaN or infinite as read, in 1 samples, first in sample 1 "),
        (np.where(X >= 33, np.inf, X), Y, "7 features are NaN or infinite as read, in 2 samples, first in sample 6 "),
        (X * 1e300, Y, "NaN or infinite after shifts and preparations, in single precision"),
        (X, np.where(Y == 1, np.nan, 0), "4 labels are NaN or infinite, first in sample 1"),
        (X, np.eye(8), "y has the shape (8, 8); it must hold one label per sample"),
        (X, Y.astype(complex), "labels must be numbers or texts"),
    ],
)
def test_bad_contents_are_named(root: Path, x: Any, y: Any, message: str) -> None:
    text = refused_domain(write_npz(root, x, y), root)
    assert text.startswith("domains.d: ") and message in text


def test_mixed_shapes_are_refused(root: Path) -> None:
    cells = np.empty((8, 1), dtype=object)
    cells[:, 0] = [np.ones(i + 1) for i in range(8)]
    scipy.io.savemat(root / "mixed.mat", {"x": cells, "y": Y})
    assert "samples of mixed shapes" in refused_domain(MAT | {"path": "mixed.mat"}, root)
    with pytest.raises(TlbenchError, match="labels must be numbers or texts"):
        labels.encode_labels(np.array([[1], None], dtype=object))


def test_infinite_features_of_sparse_samples_are_counted() -> None:
    x = sparse.csr_array(np.where(X == 38, np.inf, X))
    with pytest.raises(TlbenchError, match=r"1 features .* in 1 samples, first in sample 7 "):
        arrays.sample_array(x, len(Y), None)


def test_sparse_samples_too_large_for_dense_ones_are_refused() -> None:
    with pytest.raises(TlbenchError, match=r"Sparse samples of 1000000000 features take 29\.8 GiB as a dense array"):
        arrays.dense(sparse.csr_array((8, 10**9), dtype=np.float32))


def test_shape_makes_images_of_vectors(root: Path) -> None:
    assert load_domain(NPZ | {"shape": [1, 5, 1]}, root).samples.x.shape == (8, 1, 5, 1)
    assert "shape = [1, 2, 2] needs 4 numbers per sample, and the samples are (5,)" in refused_domain(
        NPZ | {"shape": [1, 2, 2]}, root
    )
    assert load_domain(write_npz(root, X.astype(np.uint8)), root).samples.x.dtype == torch.float32  # a vector of counts
    assert load_domain(write_npz(root, X[:, 0]), root).samples.x.shape == (8, 1)


@pytest.mark.parametrize(
    ("y", "names"),
    [
        (np.array([1.0, 2.0, 10.0]), ["1", "2", "10"]),
        (np.array([1, 10, 2], dtype=np.uint8), ["1", "2", "10"]),
        (np.array([-1.0, 1.0, 0.5]), ["-1", "0.5", "1"]),
        (np.array([b"b", b"a", b"c"]), ["a", "b", "c"]),
        (np.array(["10", "9", "x"]), ["10", "9", "x"]),
        (np.array([True, False, True]), ["False", "True"]),
        (np.array([1, 1.0, "1"], dtype=object), ["1"]),
    ],
)
def test_labels_become_sorted_texts(y: Any, names: list[str]) -> None:
    label_names, indices = labels.encode_labels(y)
    assert label_names == names
    assert [label_names[i] for i in indices] == [labels._label_text(label) for label in y]


def test_declared_classes_fix_the_order(root: Path) -> None:
    domain = load_domain(NPZ | {"classes": ["1", "0"]}, root)
    assert domain.classes == ("1", "0") and domain.samples.y.tolist() == (1 - Y).tolist()
    assert "Label '1' (4 samples) is not among the 1 classes" in refused_domain(NPZ | {"classes": ["0"]}, root)
    assert "No sample has the class '2'. The labels are 0, 1" in refused_domain(NPZ | {"classes": [0, 1, 2]}, root)


def test_test_samples_are_labelled_and_prepared_as_the_main_ones(root: Path) -> None:
    np.savez(root / "t.npz", x=X[:3] + 1, y=np.array([1, 1, 1]), far=np.array([7, 7, 7]), wide=np.ones((3, 6)))
    table = NPZ | {"prepare": ["zscore"], "test": {"path": "t.npz"}}
    domain = load_domain(table, root)
    assert domain.test is not None and domain.test.y.tolist() == [1, 1, 1]
    expected = (X[:3] + 1 - X.mean(0)) / X.std(0)
    np.testing.assert_allclose(domain.test.x, expected, rtol=1e-6)
    assert "domains.d.test: Label '7' (3 samples)" in refused_domain(NPZ | {"test": {"path": "t.npz", "y": "far"}}, root)
    assert "The test samples are (6,), and the main samples (5,)" in refused_domain(
        NPZ | {"test": {"path": "t.npz", "x": "wide"}}, root
    )


def test_the_sample_limit_gives_a_stratified_subsample(tmp_path: Path) -> None:
    domain = load_domain(IRIS | {"samples": 30}, tmp_path)
    assert domain.samples.y.bincount().tolist() == [10, 10, 10]
    assert domain.fingerprint == load_domain(IRIS | {"samples": 30}, tmp_path).fingerprint
    assert len(load_domain(IRIS | {"samples": 1000}, tmp_path).samples) == 150


def test_the_fingerprint_follows_content_not_path(root: Path) -> None:
    first = load_domain(NPZ | {"test": {}}, root).fingerprint
    assert len(first) == 16 and int(first, 16) >= 0
    np.savez(root / "other.npz", a=X, b=Y.astype(np.float32))
    assert load_domain(NPZ | {"path": "other.npz", "x": "a", "y": "b", "test": {}}, root).fingerprint == first
    changed = [
        NPZ,
        write_npz(root, X + 1) | {"test": {}},
        write_npz(root, X, 1 - Y) | {"test": {}},
        write_npz(root, X, Y + 1) | {"test": {}},
        NPZ | {"test": {"samples": 4}},
        NPZ | {"shape": [5, 1], "test": {}},
    ]
    assert first not in {load_domain(table, root).fingerprint for table in changed[:1] + changed[4:]}
    for x, y in ((X + 1, Y), (X, 1 - Y), (X, Y + 1)):
        assert load_domain(write_npz(root, x, y) | {"test": {}}, root).fingerprint != first
