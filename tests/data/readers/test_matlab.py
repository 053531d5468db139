"""MATLAB files: order of axes, sparse labels, fields of structs, objects and cell arrays."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import scipy.io
from domain_tables import load_domain, refused_domain
from scipy import sparse

MAT = {"reader": "mat", "path": "d.mat", "x": "x", "y": "y"}
IMAGES_NCHW = np.random.default_rng(0).integers(0, 256, (5, 3, 4, 6), dtype=np.uint8)
LABELS = np.array([1.0, 2, 2, 1, 2])


def save(folder: Path, arrays: dict[str, Any], version: str) -> None:
    """A MATLAB file of version 5, or of 7.3, which stores axes in reverse."""
    if version == "5":
        scipy.io.savemat(folder / "d.mat", arrays)
        return
    with h5py.File(folder / "d.mat", "w", userblock_size=512) as file:
        for name, array in arrays.items():
            file[name] = np.atleast_2d(array).T
    with (folder / "d.mat").open("r+b") as stream:
        stream.write(b"MATLAB 7.3 MAT-file".ljust(124) + b"\0\2IM")


@pytest.mark.parametrize("version", ["5", "7.3"])
@pytest.mark.parametrize("axes", ["NCHW", "NHWC", "HWCN", "CHWN", "WHCN", "CWHN"])
def test_axes_are_kept(tmp_path: Path, version: str, axes: str) -> None:
    stored = IMAGES_NCHW.transpose(["NCHW".index(letter) for letter in axes])
    save(tmp_path, {"x": stored, "y": LABELS}, version)
    assert np.array_equal(load_domain(MAT | {"axes": axes}, tmp_path).samples.x.numpy(), IMAGES_NCHW)
    if axes == "HWCN":  # the order of MATLAB's own image stacks needs no more than columns
        assert np.array_equal(load_domain(MAT | {"columns": True}, tmp_path).samples.x.numpy(), IMAGES_NCHW)
        assert "Set columns = true" in refused_domain(MAT, tmp_path)
    if axes == "NHWC":
        with pytest.warns(UserWarning, match="if the channels come last, set axes = 'NHWC'"):
            load_domain(MAT, tmp_path)


@pytest.mark.parametrize("reader", ["npz", "npy", "mat", "hdf5"])
@pytest.mark.parametrize(("axes", "shape"), [("NHW", (5, 1, 4, 6)), ("HWN", (5, 1, 4, 6)), ("NTC", (5, 6, 4)), ("DN", (5, 3))])
def test_other_axes(tmp_path: Path, reader: str, axes: str, shape: tuple[int, ...]) -> None:
    sizes = dict(zip("NCTDHW", (5, 6, 4, 3, 4, 6), strict=True))
    x = np.random.default_rng(1).random([sizes[letter] for letter in axes])
    np.savez(tmp_path / "d.npz", x=x, y=LABELS)
    np.save(tmp_path / "x.npy", x)
    np.save(tmp_path / "y.npy", LABELS)
    scipy.io.savemat(tmp_path / "d.mat", {"x": x, "y": LABELS})
    with h5py.File(tmp_path / "d.h5", "w") as file:
        file["x"], file["y"] = x, LABELS
    path = {"npz": "d.npz", "mat": "d.mat", "hdf5": "d.h5"}.get(reader)
    keys = {"x": "x.npy", "y": "y.npy"} if path is None else {"path": path, "x": "x", "y": "y"}
    domain = load_domain({"reader": reader, "axes": axes, **keys}, tmp_path)
    order = [axes.index(letter) for letter in "NCTDHW" if letter in axes]
    assert np.allclose(domain.samples.x.numpy(), x.transpose(order).reshape(shape))
    assert "Name each axis" in refused_domain({"reader": reader, "axes": "NDCHW", **keys}, tmp_path)


@pytest.mark.parametrize("columns", [False, True])
def test_sparse_labels(tmp_path: Path, columns: bool) -> None:
    x = np.arange(10.0).reshape(5, 2)
    scipy.io.savemat(tmp_path / "d.mat", {"x": x.T if columns else x, "y": sparse.csc_matrix(LABELS[:, None] - 1)})
    domain = load_domain(MAT | {"columns": columns}, tmp_path)
    assert domain.samples.y.tolist() == [0, 1, 1, 0, 1] and domain.samples.x.tolist() == x.tolist()


def test_fields_of_structs(tmp_path: Path) -> None:
    x = np.arange(10.0).reshape(5, 2)
    two = np.zeros((1, 2), dtype=[("x", "f8")])
    scipy.io.savemat(tmp_path / "d.mat", {"data": {"x": x, "y": LABELS, "in": {"x": x + 1}}, "two": two, "n": 1.0})
    assert load_domain(MAT | {"x": "data.x", "y": "data.y"}, tmp_path).samples.x.tolist() == x.tolist()
    assert load_domain(MAT | {"x": "data.in.x", "y": "data.y"}, tmp_path).samples.x.tolist() == (x + 1).tolist()
    for name, message in (
        ("data", "'data' is a struct with the fields x, y, in. Name a field, as in 'data.x'."),
        ("data.z", "There is no field 'z' in 'data'. Available: x, y, in."),
        ("data.in", "'data.in' is a struct with the fields x. Name a field, as in 'data.in.x'."),
        ("two.x", "'two' is an array of 2 structs"),
        ("n.x", "'n' is no struct"),
        ("dat.x", "There is no variable 'dat'. Did you mean 'data'?"),
    ):
        assert message in refused_domain(MAT | {"x": name, "y": "data.y"}, tmp_path)


def test_fields_of_structs_of_version_7_3(tmp_path: Path) -> None:
    save(tmp_path, {"data/x": np.arange(10.0).reshape(5, 2), "data/y": LABELS}, "7.3")
    assert load_domain(MAT | {"x": "data.x", "y": "data.y"}, tmp_path).samples.x[:, 0].tolist() == [0, 2, 4, 6, 8]
    assert "'data' is a struct. Name one of its fields x, y, as in 'data.x'" in refused_domain(MAT | {"x": "data"}, tmp_path)


def cell_array(*contents: Any) -> np.ndarray[Any, Any]:
    cells = np.empty((1, len(contents)), dtype=object)
    for i, content in enumerate(contents):
        cells[0, i] = content
    return cells


def test_cells_that_are_samples(tmp_path: Path) -> None:
    vectors = cell_array(*(np.full((1, 3), float(i)) for i in range(5)))
    images = cell_array(*(image.transpose(1, 2, 0) for image in IMAGES_NCHW))
    scipy.io.savemat(tmp_path / "d.mat", {"x": vectors, "images": images, "y": LABELS})
    assert load_domain(MAT, tmp_path).samples.x.tolist() == [[i] * 3 for i in range(5)]
    assert np.array_equal(load_domain(MAT | {"x": "images"}, tmp_path).samples.x.numpy(), IMAGES_NCHW)


def test_advice_on_cells_is_right_for_the_input_that_gets_it(tmp_path: Path) -> None:
    tasks = cell_array(np.zeros((2, 3)), np.ones((3, 3)))
    arrays = {"x": tasks, "y": LABELS, "one_each": np.array([4.0, 9]), "cells": cell_array(np.array([1.0, 2]), LABELS[:3])}
    scipy.io.savemat(tmp_path / "d.mat", arrays)
    text = refused_domain(MAT, tmp_path)  # labels in one vector: no way to tell whose they are
    assert "tasks, each with its own labels: a cell array of labels" in text
    assert "Store the labels as a cell array" in refused_domain(MAT | {"cells": [1, 2]}, tmp_path)
    assert "tasks. Name those to read, as in cells = [1, 2]" in refused_domain(MAT | {"y": "cells"}, tmp_path)
    assert len(load_domain(MAT | {"y": "cells", "cells": [1, 2]}, tmp_path).samples) == 5
    by_cell = load_domain(MAT | {"y": "one_each", "cells": [1, 2]}, tmp_path)
    assert by_cell.classes == ("4", "9") and by_cell.samples.y.tolist() == [0, 0, 1, 1, 1]


@pytest.mark.parametrize("kind", ["struct", "cells"])
def test_more_structs_or_cells_than_bytes_are_refused(tmp_path: Path, kind: str) -> None:
    """The sizes of an array of structs or cells are damaged; nothing is allocated for what is not there."""
    value: Any = {"x": np.zeros((4, 2)), "y": np.ones((4, 1))} if kind == "struct" else cell_array(np.zeros((4, 2)))
    scipy.io.savemat(tmp_path / "d.mat", {"x": value, "y": LABELS})
    content = bytearray((tmp_path / "d.mat").read_bytes())
    sizes = content.find(struct.pack("<IIii", 5, 8, 1, 1))
    content[sizes + 8 : sizes + 12] = struct.pack("<i", 2**30)
    (tmp_path / "d.mat").write_bytes(content)
    table = MAT | ({"x": "x.x", "y": "x.y"} if kind == "struct" else {})
    assert "has more of them than the bytes that they take" in refused_domain(table, tmp_path)
