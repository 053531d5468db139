"""Files of arrays: npz, npy, HDF5 and MATLAB 7.3."""

from __future__ import annotations

import sys
from pathlib import Path

import h5py
import numpy as np
import pytest
from domain_tables import load_domain, refused_domain

from tlbench.data.decoding import files


def test_npz_selects_rows_and_has_groups(tmp_path: Path) -> None:
    np.savez(
        tmp_path / "d.npz", x=np.arange(8.0).reshape(4, 2), y=[0, 1, 0, 1], subject=[1, 1, 2, 3], site=["a", "b", "b", "b"]
    )
    table = {"reader": "npz", "path": "d.npz", "x": "x", "y": "y", "group": "site"}
    domain = load_domain(table | {"where": {"subject": [1, 3]}}, tmp_path)
    assert domain.samples.x[:, 0].tolist() == [0, 2, 6]
    assert domain.samples.group is not None and domain.samples.group.tolist() == [0, 1, 1]
    assert "where selects none of 4 samples" in refused_domain(table | {"where": {"site": "c"}}, tmp_path)
    assert "There is no array 'sit'. Did you mean 'site'?" in refused_domain(table | {"group": "sit"}, tmp_path)
    assert "It needs one value for each sample of x" in refused_domain(table | {"where": {"x": 1}}, tmp_path)


def test_npz_bombs_are_refused_domain(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "BOMB_BYTES", 2**20)
    np.savez_compressed(tmp_path / "d.npz", x=np.zeros((2**20, 2)), y=np.zeros(2**20))
    assert "as decompression bombs do" in refused_domain({"reader": "npz", "path": "d.npz", "x": "x", "y": "y"}, tmp_path)


def test_npy_files(tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", np.arange(6.0).reshape(3, 2))
    np.save(tmp_path / "y.npy", np.array(["a", "b", "a"]))
    np.save(tmp_path / "o.npy", np.array([{}, {}, {}], dtype=object))
    table = {"reader": "npy", "x": "x.npy", "y": "y.npy"}
    assert load_domain(table, tmp_path).samples.x.tolist() == [[0, 1], [2, 3], [4, 5]]
    assert "pickled objects, which are never loaded" in refused_domain(table | {"y": "o.npy"}, tmp_path)
    (tmp_path / "cut.npy").write_bytes((tmp_path / "x.npy").read_bytes()[:-8])
    assert "not a whole npy file" in refused_domain(table | {"x": "cut.npy"}, tmp_path)
    (tmp_path / "junk.npy").write_bytes(b"junk")
    assert "not an npy file" in refused_domain(table | {"x": "junk.npy"}, tmp_path)


HDF5 = {"reader": "hdf5", "path": "d.h5", "x": "train/x", "y": "y"}


def test_hdf5_arrays(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "d.h5", "w") as file:
        file["train/x"] = np.arange(6.0).reshape(3, 2)
        file["y"] = [b"a", b"b", b"a"]
        file["g"] = [3, 4, 3]
        file["away"] = h5py.ExternalLink("other.h5", "x")
        file["soft"] = h5py.SoftLink("/y")
        file.create_dataset("huge", shape=(2**40,), chunks=(2**20,), dtype="f4")
        file.create_dataset("raw", (3, 2), dtype="f8", external=[("/etc/passwd", 0, 48)])
    domain = load_domain(HDF5 | {"group": "g"}, tmp_path)
    assert domain.samples.x.tolist() == [[0, 1], [2, 3], [4, 5]] and domain.classes == ("a", "b")
    assert domain.samples.group is not None and domain.samples.group.tolist() == [0, 1, 0]
    for change, message in (
        ({"x": "train"}, "'train' is a group, not an array. It holds train/x"),
        ({"x": "train/xx"}, "There is no array 'train/xx'. Did you mean 'x'?"),
        ({"x": "away"}, "is a link; links are refused"),
        ({"x": "soft"}, "is a link; links are refused"),
        ({"x": "raw"}, "lies in another file, which is refused"),
        ({"x": "huge"}, "as decompression bombs do"),
    ):
        assert message in refused_domain(HDF5 | change, tmp_path)
    assert load_domain(HDF5 | {"where": {"g": {"max": 3}}}, tmp_path).samples.x.tolist() == [[0, 1], [4, 5]]
    assert load_domain(HDF5 | {"where": {"y": "b"}, "group": "g"}, tmp_path).samples.x.tolist() == [[2, 3]]
    assert "where selects none of 3 samples" in refused_domain(HDF5 | {"where": {"g": 5}}, tmp_path)
    assert "It needs one value for each sample of x" in refused_domain(HDF5 | {"where": {"train/x": 1}}, tmp_path)
    whole = (tmp_path / "d.h5").read_bytes()
    for share in (0, 3, 200, 1000, len(whole) - 1):
        (tmp_path / "cut.h5").write_bytes(whole[:share])
        assert "not a whole HDF5 file" in refused_domain(HDF5 | {"path": "cut.h5"}, tmp_path)


def test_without_h5py_the_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "d.h5").write_bytes(b"")
    monkeypatch.setitem(sys.modules, "h5py", None)
    assert "pip install 'tlbench[hdf5]'" in refused_domain(HDF5, tmp_path)


def test_matlab_7_3_is_read_in_matlabs_order(tmp_path: Path) -> None:
    path, x = tmp_path / "d.mat", np.array([[0.0, 1.0], [2.0, 0.0], [0.0, 3.0]])
    with h5py.File(path, "w", userblock_size=512) as file:
        file["x"], file["y"] = x.T, np.array([[1.0, 2.0, 1.0]])
        sparse = file.create_group("s")
        sparse["data"], sparse["ir"], sparse["jc"] = [2.0, 1.0, 3.0], [1, 0, 2], [0, 1, 3]
        sparse.attrs["MATLAB_sparse"] = 3
        refs = np.empty((1, 3), dtype=h5py.ref_dtype)
        for i, word in enumerate(("cat", "dog", "cat")):
            cell = file.create_dataset(f"#refs#/{i}", data=np.array([[ord(c)] for c in word], dtype=np.uint16))
            refs[0, i] = cell.ref
        file.create_dataset("names", data=refs, dtype=h5py.ref_dtype).attrs["MATLAB_class"] = np.bytes_("cell")
    with path.open("r+b") as stream:
        stream.write(b"MATLAB 7.3 MAT-file".ljust(124) + b"\0\2IM")
    table = {"reader": "mat", "path": "d.mat", "x": "x", "y": "y"}
    assert load_domain(table, tmp_path).samples.x.tolist() == x.tolist() and load_domain(table, tmp_path).classes == ("1", "2")
    assert load_domain(table | {"x": "s"}, tmp_path).samples.x.tolist() == x.tolist()
    assert load_domain(table | {"y": "names"}, tmp_path).classes == ("cat", "dog")
    assert "There is no array 'z'. Available: names, s, x, y" in refused_domain(table | {"x": "z"}, tmp_path)
