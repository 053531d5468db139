"""Labels and files of every reader of arrays: by file, by variable, several files, groups, and what is refused."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import scipy.io
from domain_tables import declaration_errors, declare_domain, load_domain, refused_domain

from tlbench.data import source_files

Arrays = Mapping[str, np.ndarray[Any, Any]]
SUFFIXES = {"npz": ".npz", "hdf5": ".h5", "mat": ".mat", "mat 7.3": ".mat"}
FIRST = {"x": np.arange(6.0).reshape(3, 2), "y": np.array([1.0, 2, 1]), "site": np.array([7.0, 7, 8])}
SECOND = {"x": np.arange(10.0, 14).reshape(2, 2), "y": np.array([2.0, 2]), "site": np.array([8.0, 8])}
SAMPLES = [[0, 1], [2, 3], [4, 5], [10, 11], [12, 13]]


def write(path: Path, arrays: Arrays, kind: str) -> None:
    """A file of arrays in the format of a reader; MATLAB stores vectors as columns."""
    if kind == "npz":
        np.savez(path, **arrays)
    elif kind == "hdf5":
        with h5py.File(path, "w") as file:
            for name, array in arrays.items():
                file[name] = array
    elif kind == "mat":
        scipy.io.savemat(path, dict(arrays), oned_as="column")
    else:
        with h5py.File(path, "w", userblock_size=512) as file:
            for name, array in arrays.items():
                file[name] = (array if array.ndim > 1 else array[:, None]).T
        with path.open("r+b") as stream:
            stream.write(b"MATLAB 7.3 MAT-file".ljust(124) + b"\0\2IM")


@pytest.fixture(params=SUFFIXES)
def table(request: pytest.FixtureRequest, tmp_path: Path) -> dict[str, Any]:
    """Two files in the format of each reader of named arrays, and the keys to read the first one."""
    suffix = SUFFIXES[request.param]
    for name, arrays in (("one", FIRST), ("two", SECOND)):
        write(tmp_path / f"{name}{suffix}", arrays, request.param)
    write(tmp_path / f"both{suffix}", {"x_cat": FIRST["x"], "x_dog": SECOND["x"]}, request.param)
    write(tmp_path / f"wide{suffix}", SECOND | {"x": np.ones((2, 3))}, request.param)
    write(tmp_path / f"short{suffix}", SECOND | {"y": np.ones(1)}, request.param)
    return {"reader": request.param.split()[0], "path": f"one{suffix}", "x": "x", "y": "y"}


def other(table: Mapping[str, Any], name: str) -> str:
    return name + Path(table["path"]).suffix


def without(table: Mapping[str, Any], *keys: str) -> dict[str, Any]:
    return {key: value for key, value in table.items() if key not in keys}


def test_several_files_are_one_domain(table: dict[str, Any], tmp_path: Path) -> None:
    both = table | {"path": ["one" + other(table, ""), other(table, "two")], "group": "site"}
    domain = load_domain(both, tmp_path)
    assert domain.samples.x.tolist() == SAMPLES and domain.samples.y.tolist() == [0, 1, 0, 1, 1]
    assert domain.groups == ("7", "8")
    assert load_domain(both | {"where": {"site": 8}}, tmp_path).samples.x.tolist() == SAMPLES[2:]
    for name, message in (("wide", "All need one shape"), ("short", "Each sample needs one value"), ("one", "is named twice")):
        assert message in refused_domain(both | {"path": [table["path"], other(table, name)]}, tmp_path)


def test_labels_by_file(table: dict[str, Any], tmp_path: Path) -> None:
    by_file = without(table, "path", "y") | {"files": {"dog": table["path"], "cat": [other(table, "two")]}}
    domain = load_domain(by_file, tmp_path)
    assert domain.classes == ("cat", "dog") and domain.samples.y.tolist() == [1, 1, 1, 0, 0]
    assert domain.samples.x.tolist() == SAMPLES
    paths = source_files.files_of(declare_domain(by_file), tmp_path)
    assert paths is not None and [path.stem for path in paths] == ["one", "two"]


def test_labels_by_variable(table: dict[str, Any], tmp_path: Path) -> None:
    by_variable = without(table, "y") | {"path": other(table, "both"), "x": {"cat": "x_cat", "dog": ["x_dog"]}}
    domain = load_domain(by_variable, tmp_path)
    assert domain.classes == ("cat", "dog") and domain.samples.y.tolist() == [0, 0, 0, 1, 1]
    assert domain.samples.x.tolist() == SAMPLES


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"y": None}, "Labels come from one place"),
        ({"x": {"a": "x"}}, "Labels come from one place"),
        ({"files": {"a": "one.npz"}}, "Give either path"),
        ({"path": None}, "Give either path"),
        ({"axes": "HW"}, "must name each axis of x by one letter"),
        ({"axes": "NNC"}, "must name each axis of x by one letter"),
        ({"axes": "NQ"}, "must name each axis of x by one letter"),
    ],
)
@pytest.mark.parametrize("reader", ["npz", "hdf5", "mat"])
def test_keys_that_contradict_each_other(reader: str, change: dict[str, Any], message: str) -> None:
    keys = {"reader": reader, "path": "d", "x": "x", "y": "y"} | change
    errors = declaration_errors({key: value for key, value in keys.items() if value is not None})
    assert len(errors) == 1 and message in errors[0], errors


def test_npy_files_by_class_and_in_lists(tmp_path: Path) -> None:
    for name, arrays in (("one", FIRST), ("two", SECOND)):
        np.save(tmp_path / f"{name}.npy", arrays["x"])
        np.save(tmp_path / f"{name}_y.npy", arrays["y"])
    by_class = load_domain({"reader": "npy", "x": {"cat": "one.npy", "dog": "two.npy"}}, tmp_path)
    assert by_class.classes == ("cat", "dog") and by_class.samples.y.tolist() == [0, 0, 0, 1, 1]
    listed = {"reader": "npy", "x": ["one.npy", "two.npy"], "y": ["one_y.npy", "two_y.npy"]}
    assert load_domain(listed, tmp_path).samples.x.tolist() == SAMPLES
    np.save(tmp_path / "two_y.npy", np.array(["2", "2"]))
    assert "Some files hold numbers as labels and others texts" in refused_domain(listed, tmp_path)
    assert "Each file of x needs one of y" in declaration_errors(listed | {"y": "one_y.npy"})[0]
    assert "Give either y" in declaration_errors(without(listed, "y"))[0]


def test_svmlight_files_by_class_and_in_lists(tmp_path: Path) -> None:
    (tmp_path / "one.svm").write_text("1 0:1 1:2\n2 1:3\n")
    (tmp_path / "two.svm").write_text("2 0:4\n")
    keys = {"reader": "svmlight", "features": 2}
    assert load_domain(keys | {"path": ["one.svm", "two.svm"]}, tmp_path).samples.x.tolist() == [[1, 2], [0, 3], [4, 0]]
    by_class = load_domain(keys | {"files": {"a": "one.svm", "b": "two.svm"}}, tmp_path)
    assert by_class.classes == ("a", "b") and by_class.samples.y.tolist() == [0, 0, 1]
    assert "Give either path" in declaration_errors(keys)[0]


@pytest.mark.parametrize("reader", ["npz", "hdf5", "mat", "npy", "svmlight", "series"])
def test_the_name_of_an_array_is_no_file(tmp_path: Path, reader: str) -> None:
    (tmp_path / "images").mkdir()
    for name in ("images/0.png", "images/1.png", "d"):
        (tmp_path / name).write_bytes(b"x")
    keys: dict[str, dict[str, Any]] = {
        "npy": {"x": "d", "y": "d"},
        "svmlight": {"path": "d", "features": 3},
        "series": {"path": "d", "x": "images", "y": "y", "layout": "channel_time"},
    }
    declaration = declare_domain({"reader": reader} | keys.get(reader, {"path": "d", "x": "images", "y": "y"}))
    assert source_files.files_of(declaration, tmp_path) == [tmp_path / "d"]


def test_samples_without_an_axis_are_refused(tmp_path: Path) -> None:
    """An array of a single number, as a damaged file may have it."""
    with h5py.File(tmp_path / "d.h5", "w") as file:
        file["x"], file["y"] = 1.0, [0, 1]
    assert "x" in refused_domain({"reader": "hdf5", "path": "d.h5", "x": "x", "y": "y"}, tmp_path)
