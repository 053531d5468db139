"""Readers of arrays: the same samples in any format; truncated, damaged and pickled files are refused."""

from __future__ import annotations

import pickle
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.io
import torch
from domain_tables import load_domain, refused_domain
from hypothesis import given
from hypothesis import strategies as st
from scipy import sparse
from small_files import IDX, MAT, NPZ, SVM, X, Y, quick, write_small_files

from tlbench.data.decoding import arrays
from tlbench.data.labels import classes as labels
from tlbench.data.readers import mat
from tlbench.errors import TlbenchError


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return write_small_files(tmp_path)


@pytest.mark.parametrize(
    "table", [NPZ, MAT, SVM, SVM | {"path": "d.svm.gz"}, MAT | {"path": "transposed.mat", "columns": True}]
)
def test_the_same_samples_in_any_format_are_the_same_domain(root: Path, table: dict[str, Any]) -> None:
    domain = load_domain(table, root)
    assert domain.samples.x.dtype == torch.float32 and domain.samples.y.dtype == torch.int64
    assert torch.equal(domain.samples.x, torch.from_numpy(X).float()) and domain.samples.y.tolist() == Y.tolist()
    assert domain.classes == ("0", "1") and domain.test is None
    assert domain.fingerprint == load_domain(NPZ, root).fingerprint


def test_idx_images_are_bytes_with_a_channel(root: Path) -> None:
    domain = load_domain(IDX, root)
    assert domain.samples.x.shape == (8, 1, 5, 1) and domain.samples.x.dtype == torch.uint8
    assert domain.samples.x.flatten().tolist() == X.flatten().tolist()


def test_scikit_learn_digits_are_byte_images(tmp_path: Path) -> None:
    domain = load_domain({"reader": "scikit_learn", "name": "digits"}, tmp_path)
    assert domain.samples.x.shape == (1797, 1, 8, 8) and domain.samples.x.dtype == torch.uint8
    assert (int(domain.samples.x.min()), int(domain.samples.x.max())) == (0, 255)
    assert domain.classes == tuple("0123456789")
    assert load_domain({"reader": "scikit_learn", "name": "breast_cancer"}, tmp_path).classes == ("benign", "malignant")


def test_svmlight_counts_features_from_one_where_declared(root: Path) -> None:
    (root / "one.svm").write_text("1 1:2 5:3\n-1 2:4\n")
    domain = load_domain(SVM | {"path": "one.svm", "zero_based": False}, root)
    assert domain.samples.x.tolist() == [[2, 0, 0, 0, 3], [0, 4, 0, 0, 0]] and domain.classes == ("-1", "1")
    assert "not a whole svmlight file" in refused_domain(SVM | {"path": "one.svm", "features": 4}, root)


@pytest.mark.parametrize(
    ("table", "key", "message"),
    [
        (NPZ, "x", "There is no array 'xx'. Did you mean 'x'?"),
        (MAT, "y", "There is no variable 'yy'. Did you mean 'y'?"),
        (MAT, "x", "There is no variable 'xx'. Did you mean 'x'?"),
    ],
)
def test_an_unknown_array_names_the_available_ones(root: Path, table: dict[str, Any], key: str, message: str) -> None:
    assert message in refused_domain(table | {key: table[key] * 2}, root)
    assert "Available: x, y" in refused_domain(table | {key: "0"}, root)


def test_transposed_samples_are_detected(root: Path) -> None:
    assert "Set columns = true" in refused_domain(MAT | {"path": "transposed.mat"}, root)
    np.savez(root / "transposed.npz", x=X.T, y=Y)
    assert "The samples seem to be stored as columns" in refused_domain(NPZ | {"path": "transposed.npz"}, root)


def test_a_broken_matlab_7_3_file_is_refused_clearly(root: Path) -> None:
    (root / "new.mat").write_bytes(b"MATLAB 7.3 MAT-file, Platform: GLNXA64".ljust(512) + b"\x89HDF\r\n\x1a\n")
    assert "not a whole MATLAB v7.3 file" in refused_domain(MAT | {"path": "new.mat"}, root)


def test_labels_in_a_matlab_cell_array(root: Path) -> None:
    cells = np.array([["cat"], ["dog"]] * 4, dtype=object)
    scipy.io.savemat(root / "cells.mat", {"x": X, "y": cells})
    assert load_domain(MAT | {"path": "cells.mat"}, root).classes == ("cat", "dog")


@pytest.mark.parametrize(
    ("table", "file"), [(NPZ, "d.npz"), (MAT, "d.mat"), (IDX, "images"), (IDX, "labels"), (SVM, "d.svm.gz")]
)
@given(share=st.floats(0, 1, exclude_max=True))
@quick
def test_a_truncated_file_is_a_clear_error(root: Path, table: dict[str, Any], file: str, share: float) -> None:
    whole = (root / file).read_bytes()
    (root / "cut").write_bytes(whole[: int(share * len(whole))])
    table = {key: "cut" if value == file else value for key, value in (table | {"path": file}).items()}
    table = table if "images" not in table else {key: value for key, value in table.items() if key != "path"}
    assert str(root / "cut") in refused_domain(table, root)


@pytest.mark.parametrize("x", [X, X * 1j, sparse.csc_array(X), X.astype("U1")], ids=["plain", "complex", "sparse", "text"])
def test_no_damaged_byte_of_a_matlab_file_ends_the_process(root: Path, x: Any) -> None:
    scipy.io.savemat(root / "whole.mat", {"x": x, "y": Y})
    whole = (root / "whole.mat").read_bytes()
    refusals = 0
    for position in range(120, len(whole)):
        (root / "damaged.mat").write_bytes(whole[:position] + bytes([whole[position] ^ 0x6B]) + whole[position + 1 :])
        try:
            result = mat.read(mat.Options(path="damaged.mat", x="x", y=["y"]), root)
            arrays.sample_array(result.x, len(labels.label_array(result.y)), None)
        except TlbenchError:
            refusals += 1
    assert refusals > 50


@pytest.mark.parametrize("table", [NPZ, MAT, SVM])
@given(junk=st.binary(max_size=300))
@quick
def test_junk_is_a_clear_error(root: Path, table: dict[str, Any], junk: bytes) -> None:
    (root / "junk").write_bytes(b"\xff" + junk)
    assert str(root / "junk") in refused_domain(table | {"path": "junk"}, root)


def test_junk_and_surplus_bytes_of_idx_files_are_clear_errors(root: Path) -> None:
    (root / "junk").write_bytes(b"\x01\x02\x03\x04junk")
    assert "not an IDX file" in refused_domain(IDX | {"images": "junk"}, root)
    (root / "more").write_bytes((root / "images").read_bytes() + b"1")
    assert "and holds more; it is truncated or damaged" in refused_domain(IDX | {"images": "more"}, root)
    (root / "huge").write_bytes(struct.pack(">HBBIII", 0, 8, 3, 2**31, 2**31, 2**31))
    assert "holds only 0" in refused_domain(IDX | {"images": "huge"}, root)


class Bomb:
    exploded = False

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        return setattr, (Bomb, "exploded", True)


def test_nothing_is_unpickled(root: Path) -> None:
    np.savez(root / "bomb.npz", x=np.array([Bomb()] * 8, dtype=object), y=Y)
    assert "holds pickled objects" in refused_domain(NPZ | {"path": "bomb.npz"}, root)
    (root / "bomb.pkl").write_bytes(pickle.dumps(Bomb()))
    assert "not an npz file" in refused_domain(NPZ | {"path": "bomb.pkl"}, root)
    np.save(root / "one.npy", X)
    assert "not an npz file" in refused_domain(NPZ | {"path": "one.npy"}, root)
    assert not Bomb.exploded
