"""Declarations, readers, checks of what was read, preparations, fingerprints, and the published 1-NN figures."""

from __future__ import annotations

import gzip
import pickle
import struct
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.io
import torch
from domain_tables import declaration_errors as mistakes
from domain_tables import load_domain as load
from domain_tables import refused_domain as refused
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from scipy import sparse

from tlbench import data
from tlbench.data import preparation
from tlbench.data.declaration import Common
from tlbench.data.decoding import arrays, files
from tlbench.data.readers import mat
from tlbench.errors import TlbenchError
from tlbench.terms import Domain

NPZ = {"reader": "npz", "path": "d.npz", "x": "x", "y": "y"}
MAT = {"reader": "mat", "path": "d.mat", "x": "x", "y": "y"}
SVM = {"reader": "svmlight", "path": "d.svm", "features": 5}
IDX = {"reader": "idx", "images": "images", "labels": "labels"}
IRIS = {"reader": "scikit_learn", "name": "iris"}

X = np.arange(40, dtype=np.float64).reshape(8, 5)
Y = np.array([0, 1] * 4)

quick = settings(deadline=None, max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])


def idx(array: np.ndarray[Any, Any]) -> bytes:
    code = {"u1": 0x08, "i1": 0x09, "i4": 0x0C, "f4": 0x0D}[array.dtype.str[1:]]
    head = struct.pack(">HBB", 0, code, array.ndim) + struct.pack(f">{array.ndim}I", *array.shape)
    return head + array.astype(array.dtype.newbyteorder(">")).tobytes()


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """One small whole file of each format, all with the same rows."""
    np.savez(tmp_path / "d.npz", x=X, y=Y)
    scipy.io.savemat(tmp_path / "d.mat", {"x": X, "y": Y[:, None]}, do_compression=True)
    scipy.io.savemat(tmp_path / "turned.mat", {"x": X.T, "y": Y})
    lines = [f"{label} " + " ".join(f"{i}:{v:g}" for i, v in enumerate(row)) for row, label in zip(X, Y, strict=True)]
    (tmp_path / "d.svm").write_text("\n".join(lines) + "\n")
    (tmp_path / "d.svm.gz").write_bytes(gzip.compress((tmp_path / "d.svm").read_bytes()))
    (tmp_path / "images").write_bytes(idx(X.astype(np.uint8).reshape(8, 5, 1)))
    (tmp_path / "labels").write_bytes(gzip.compress(idx(Y.astype(np.uint8))))
    return tmp_path


# --- declarations ---


def test_importing_the_room_imports_nothing_heavy() -> None:
    code = "import sys, tlbench.data; print(*({'torch', 'sklearn', 'scipy', 'pandas'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip() == ""


def test_what_exists_is_listed_with_a_line_each() -> None:
    assert set(data.readers.names()) >= {"idx", "mat", "npz", "scikit_learn", "svmlight"}
    assert set(data.prepare.names()) >= {"row_sum", "zscore", "l2", "log1p", "resize", "grey", "scale", "to_uint8"}
    assert "rotation" in data.shifts.names()
    for room in (data.readers, data.shifts, data.prepare):
        assert list(room.summaries()) == room.names()
        assert all(room.summaries().values())


@pytest.mark.parametrize("name", data.readers.names())
def test_no_reader_takes_a_common_key(name: str) -> None:
    assert not set(data.readers.get(name).Options.model_fields) & set(Common.model_fields)


def test_a_declaration_is_checked_and_plain() -> None:
    table = NPZ | {"classes": [0, 1], "shifts": [{"kind": "part", "index": 0, "of": 2}], "test": {"x": "x_test"}}
    declaration, wrong = data.declare("d", table, {"licence": "CC0", "prepare": ["l2"]})
    assert wrong == [] and declaration is not None
    assert declaration.classes == ("0", "1") and declaration.licence == "CC0"
    assert declaration.shifts[0].options == {"index": 0, "of": 2, "seed": 0}
    options = {"path": "d.npz", "x": "x_test", "y": ["y"], "group": None, "where": {}}
    assert declaration.test is not None and declaration.test.options == options
    assert data.Declaration.model_validate_json(declaration.model_dump_json()) == declaration


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"reader": "matt"}, "domains.d: Unknown reader 'matt'. Did you mean 'mat'?"),
        ({"reader": 3}, "domains.d: reader = 3 should be a valid string"),
        ({"pth": "a"}, "domains.d: Unknown key 'pth'. Did you mean 'path'?"),
        ({"shap": [1]}, "domains.d: Unknown key 'shap'. Did you mean 'shape'?"),
        ({"path": 3}, "domains.d: path = 3 should be a valid string"),
        ({"samples": 0}, "domains.d: samples = 0 should be greater than 0"),
        ({"samples": True}, "domains.d: samples = True should be a valid integer"),
        ({"shape": [1, 0]}, "domains.d: shape[1] = 0 should be greater than 0"),
        ({"classes": ["a", "a"]}, "'a' is there twice"),
        ({"shifts": {"kind": "noise"}}, "domains.d: shifts = {'kind': 'noise'} should be a valid list"),
        ({"shifts": ["nois"]}, "domains.d.shifts[0]: Unknown kind 'nois'. Did you mean 'noise'?"),
        ({"shifts": [{"sigma": 1}]}, "domains.d.shifts[0]: must be a name or a table with a kind"),
        ({"shifts": ["noise"]}, "domains.d.shifts[0] (noise): The key 'sigma' is missing"),
        ({"shifts": [{"kind": "noise", "sigma": -1}]}, "sigma = -1 should be greater than or equal to 0"),
        ({"shifts": [{"kind": "noise", "sigma": 1, "sed": 1}]}, "Unknown key 'sed'. Did you mean 'seed'?"),
        ({"shifts": [{"kind": "noise", "sigma": 1, "seed": "a"}]}, "seed = 'a' should be a valid integer"),
        ({"shifts": [{"kind": "part", "index": 2, "of": 2}]}, "index = 2 must be below of = 2"),
        ({"shifts": ["label_shift"]}, "give either priors or alpha"),
        ({"shifts": [{"kind": "label_shift", "priors": [0.5, 0.4]}]}, "sum to 0.9"),
        ({"prepare": ["zscor"]}, "domains.d.prepare[0]: Unknown kind 'zscor'. Did you mean 'zscore'?"),
        ({"prepare": [{"kind": "zscore", "ddof": 2}]}, "ddof = 2 should be less than or equal to 1"),
        ({"test": 3}, "domains.d: test = 3 should be a valid dictionary"),
        ({"test": {"pth": "a"}}, "domains.d.test: Unknown key 'pth'. Did you mean 'path'?"),
        ({"test": {"shifts": []}}, "domains.d.test: 'shifts' holds for both parts alike"),
        ({"test": {"reader": "mt"}}, "domains.d.test: Unknown reader 'mt'. Did you mean 'mat'?"),
        ({"test": {"reader": "idx"}}, "domains.d.test: The key 'images' is missing"),
    ],
)
def test_each_mistake_names_the_key_the_rule_and_the_way_out(change: dict[str, Any], said: str) -> None:
    declaration, wrong = data.declare("d", NPZ | change, {})
    assert declaration is None
    assert any(said in sentence for sentence in wrong), wrong


def test_missing_keys_are_named_with_their_meaning() -> None:
    assert mistakes({"path": "d.npz"})[0].startswith("domains.d: The key 'reader' is missing. Available readers: ")
    assert "domains.d: The key 'y' is missing (the key of the labels, or a list of keys of targets)" in mistakes(
        {"reader": "npz", "path": "a", "x": "x"}
    )


def test_all_mistakes_are_said_at_once_and_each_once() -> None:
    wrong = mistakes(NPZ | {"path": 1, "samples": 0, "shifts": ["a"], "prepare": ["b"], "test": {"y": 2}})
    assert len(wrong) == 5


def test_defaults_give_way_and_their_mistakes_are_one_sentence_for_all_domains() -> None:
    defaults = {"reader": "mat", "x": "fts", "y": "labels", "colums": True}
    first, second = (data.declare(name, {"path": "a.mat"}, defaults)[1] for name in ("a", "b"))
    assert first == second == ["data: Unknown key 'colums'. Did you mean 'columns'?"]
    declaration, wrong = data.declare("c", IRIS, {"reader": "mat", "x": "fts", "prepare": ["l2"]})
    assert wrong == [] and declaration is not None
    assert declaration.main.options == {"name": "iris"} and declaration.prepare[0].kind == "l2"


# --- readers ---


@pytest.mark.parametrize("table", [NPZ, MAT, SVM, SVM | {"path": "d.svm.gz"}, MAT | {"path": "turned.mat", "columns": True}])
def test_the_same_rows_in_any_format_are_the_same_domain(root: Path, table: dict[str, Any]) -> None:
    domain = load(table, root)
    assert domain.samples.x.dtype == torch.float32 and domain.samples.y.dtype == torch.int64
    assert torch.equal(domain.samples.x, torch.from_numpy(X).float()) and domain.samples.y.tolist() == Y.tolist()
    assert domain.classes == ("0", "1") and domain.test is None
    assert domain.fingerprint == load(NPZ, root).fingerprint


def test_idx_images_are_bytes_with_a_channel(root: Path) -> None:
    domain = load(IDX, root)
    assert domain.samples.x.shape == (8, 1, 5, 1) and domain.samples.x.dtype == torch.uint8
    assert domain.samples.x.flatten().tolist() == X.flatten().tolist()


def test_scikit_learn_digits_are_byte_images(tmp_path: Path) -> None:
    domain = load({"reader": "scikit_learn", "name": "digits"}, tmp_path)
    assert domain.samples.x.shape == (1797, 1, 8, 8) and domain.samples.x.dtype == torch.uint8
    assert (int(domain.samples.x.min()), int(domain.samples.x.max())) == (0, 255)
    assert domain.classes == tuple("0123456789")
    assert load({"reader": "scikit_learn", "name": "breast_cancer"}, tmp_path).classes == ("benign", "malignant")


def test_svmlight_counts_from_one_where_told(root: Path) -> None:
    (root / "one.svm").write_text("1 1:2 5:3\n-1 2:4\n")
    domain = load(SVM | {"path": "one.svm", "zero_based": False}, root)
    assert domain.samples.x.tolist() == [[2, 0, 0, 0, 3], [0, 4, 0, 0, 0]] and domain.classes == ("-1", "1")
    assert "not a whole svmlight file" in refused(SVM | {"path": "one.svm", "features": 4}, root)


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("../d.npz", "leaves the data root"),
        ("a/../../d.npz", "leaves the data root"),
        ("/etc/passwd", "leaves the data root"),
        ("a\0b", "leaves the data root"),
        ("link.npz", "is a link that leaves the data root"),
        ("linked/d.npz", "is a link that leaves the data root"),
        ("ring", "in the data root"),
        ("x" * 5000, "in the data root"),
        ("folder", "is a folder, not a file"),
        ("none.npz", "is not there"),
    ],
)
def test_paths_stay_in_the_root(tmp_path: Path, path: str, said: str) -> None:
    root = tmp_path / "root"
    (root / "folder").mkdir(parents=True)
    np.savez(tmp_path / "d.npz", x=X, y=Y)
    (root / "link.npz").symlink_to(tmp_path / "d.npz")
    (root / "linked").symlink_to(tmp_path)
    (root / "ring").symlink_to(root / "ring")
    text = refused(NPZ | {"path": path}, root)
    assert text.startswith("domains.d: ") and said in text and str(root) in text


def test_a_missing_file_names_the_way_out(tmp_path: Path) -> None:
    text = refused(NPZ, tmp_path / "none")
    assert "'d.npz'" in text and str(tmp_path / "none") in text and "that folder does not exist" in text
    assert "--data DIR" in text and "TLBENCH_DATA" in text


def test_the_data_root_is_given_or_in_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TLBENCH_DATA", "/there")
    assert data.root_of(Path("here"), None) == Path("here") and data.root_of(None, None) == Path("/there")
    monkeypatch.delenv("TLBENCH_DATA")
    assert data.root_of(None, Path("suites/a.toml")) == Path("suites")


@pytest.mark.parametrize(
    ("table", "key", "said"),
    [
        (NPZ, "x", "There is no array 'xx'. Did you mean 'x'?"),
        (MAT, "y", "There is no variable 'yy'. Did you mean 'y'?"),
        (MAT, "x", "There is no variable 'xx'. Did you mean 'x'?"),
    ],
)
def test_a_name_that_is_not_there_names_those_that_are(root: Path, table: dict[str, Any], key: str, said: str) -> None:
    assert said in refused(table | {key: table[key] * 2}, root)
    assert "there are x, y" in refused(table | {key: "0"}, root)


def test_rows_that_lie_as_columns_are_noticed(root: Path) -> None:
    assert "set columns = true" in refused(MAT | {"path": "turned.mat"}, root)
    np.savez(root / "turned.npz", x=X.T, y=Y)
    assert "rows seem to be stored as columns" in refused(NPZ | {"path": "turned.npz"}, root)


def test_a_broken_matlab_7_3_file_is_refused_clearly(root: Path) -> None:
    (root / "new.mat").write_bytes(b"MATLAB 7.3 MAT-file, Platform: GLNXA64".ljust(512) + b"\x89HDF\r\n\x1a\n")
    assert "not a whole MATLAB v7.3 file" in refused(MAT | {"path": "new.mat"}, root)


def test_labels_in_a_matlab_cell_array(root: Path) -> None:
    cells = np.array([["cat"], ["dog"]] * 4, dtype=object)
    scipy.io.savemat(root / "cells.mat", {"x": X, "y": cells})
    assert load(MAT | {"path": "cells.mat"}, root).classes == ("cat", "dog")


@pytest.mark.parametrize(
    ("table", "file"), [(NPZ, "d.npz"), (MAT, "d.mat"), (IDX, "images"), (IDX, "labels"), (SVM, "d.svm.gz")]
)
@given(share=st.floats(0, 1, exclude_max=True))
@quick
def test_a_file_cut_anywhere_is_a_clear_error(root: Path, table: dict[str, Any], file: str, share: float) -> None:
    whole = (root / file).read_bytes()
    (root / "cut").write_bytes(whole[: int(share * len(whole))])
    table = {key: "cut" if value == file else value for key, value in (table | {"path": file}).items()}
    table = table if "images" not in table else {key: value for key, value in table.items() if key != "path"}
    assert str(root / "cut") in refused(table, root)


@pytest.mark.parametrize("x", [X, X * 1j, sparse.csc_array(X), X.astype("U1")], ids=["plain", "complex", "sparse", "text"])
def test_no_damaged_byte_of_a_matlab_file_ends_the_process(root: Path, x: Any) -> None:
    scipy.io.savemat(root / "whole.mat", {"x": x, "y": Y})
    whole = (root / "whole.mat").read_bytes()
    refusals = 0
    for place in range(120, len(whole)):
        (root / "damaged.mat").write_bytes(whole[:place] + bytes([whole[place] ^ 0x6B]) + whole[place + 1 :])
        try:
            table = mat.read(mat.Options(path="damaged.mat", x="x", y=["y"]), root)
            arrays.validate_arrays(table.x, table.y, None)
        except TlbenchError:
            refusals += 1
    assert refusals > 50


@pytest.mark.parametrize("table", [NPZ, MAT, SVM])
@given(junk=st.binary(max_size=300))
@quick
def test_junk_is_a_clear_error(root: Path, table: dict[str, Any], junk: bytes) -> None:
    (root / "junk").write_bytes(b"\xff" + junk)
    assert str(root / "junk") in refused(table | {"path": "junk"}, root)


def test_idx_junk_and_surplus_are_clear_errors(root: Path) -> None:
    (root / "junk").write_bytes(b"\x01\x02\x03\x04junk")
    assert "not an IDX file" in refused(IDX | {"images": "junk"}, root)
    (root / "more").write_bytes((root / "images").read_bytes() + b"1")
    assert "and holds more; truncated or damaged" in refused(IDX | {"images": "more"}, root)
    (root / "huge").write_bytes(struct.pack(">HBBIII", 0, 8, 3, 2**31, 2**31, 2**31))
    assert "holds only 0" in refused(IDX | {"images": "huge"}, root)


class Bomb:
    exploded = False

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        return setattr, (Bomb, "exploded", True)


def test_nothing_is_unpickled(root: Path) -> None:
    np.savez(root / "bomb.npz", x=np.array([Bomb()] * 8, dtype=object), y=Y)
    assert "holds pickled objects" in refused(NPZ | {"path": "bomb.npz"}, root)
    (root / "bomb.pkl").write_bytes(pickle.dumps(Bomb()))
    assert "not an npz file" in refused(NPZ | {"path": "bomb.pkl"}, root)
    np.save(root / "one.npy", X)
    assert "not an npz file" in refused(NPZ | {"path": "one.npy"}, root)
    assert not Bomb.exploded


def test_a_file_that_may_not_be_read_is_named(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def locked(*_: Any) -> None:
        raise PermissionError(13, "Permission denied")

    with (
        pytest.raises(TlbenchError, match=r"d\.npz: may not be read by this user"),
        files.guarded_reading(root / "d.npz", "npz"),
    ):
        locked()


# --- what was read ---


def saved(root: Path, x: Any, y: Any = Y) -> dict[str, Any]:
    np.savez(root / "bad.npz", x=x, y=y)
    return NPZ | {"path": "bad.npz"}


@pytest.mark.parametrize(
    ("x", "y", "said"),
    [
        (X[:5], Y, "x has 5 rows (5, 5) and y 8 labels"),
        (X[:0], Y[:0], "the domain is empty: x has the shape (0, 5)"),
        (X[:, :0], Y, "the domain is empty: x has the shape (8, 0)"),
        (np.array(3.0), Y, "x is a single number"),
        (X.astype("U"), Y, "not numbers"),
        (X.astype(complex), Y, "x holds complex128, not numbers"),
        (np.where(X == 7, np.nan, X), Y, "1 features are NaN or infinite as read, in 1 rows, first in row 1 "),
        (np.where(X >= 33, np.inf, X), Y, "7 features are NaN or infinite as read, in 2 rows, first in row 6 "),
        (X * 1e300, Y, "NaN or infinite after shifts and preparations, in single precision"),
        (X, np.where(Y == 1, np.nan, 0), "4 labels are NaN or infinite, first in row 1"),
        (X, np.eye(8), "y has the shape (8, 8); it must hold one label a row"),
        (X, Y.astype(complex), "labels must be numbers or texts"),
    ],
)
def test_bad_contents_are_named(root: Path, x: Any, y: Any, said: str) -> None:
    text = refused(saved(root, x, y), root)
    assert text.startswith("domains.d: ") and said in text


def test_mixed_shapes_are_refused(root: Path) -> None:
    cells = np.empty((8, 1), dtype=object)
    cells[:, 0] = [np.ones(i + 1) for i in range(8)]
    scipy.io.savemat(root / "mixed.mat", {"x": cells, "y": Y})
    assert "rows of mixed shapes" in refused(MAT | {"path": "mixed.mat"}, root)
    with pytest.raises(TlbenchError, match="labels must be numbers or texts"):
        arrays.texts(np.array([[1], None], dtype=object))


def test_infinite_entries_of_sparse_rows_are_counted() -> None:
    x = sparse.csr_array(np.where(X == 38, np.inf, X))
    with pytest.raises(TlbenchError, match=r"1 features .* in 1 rows, first in row 7 "):
        arrays.validate_arrays(x, Y, None)


def test_sparse_rows_that_cannot_be_dense_are_refused() -> None:
    with pytest.raises(TlbenchError, match=r"sparse rows of 1000000000 features take 29\.8 GiB as plain numbers"):
        arrays.dense(sparse.csr_array((8, 10**9), dtype=np.float32))


def test_shape_makes_images_of_rows(root: Path) -> None:
    assert load(NPZ | {"shape": [1, 5, 1]}, root).samples.x.shape == (8, 1, 5, 1)
    assert "shape = [1, 2, 2] needs 4 numbers a row; rows are (5,)" in refused(NPZ | {"shape": [1, 2, 2]}, root)
    assert load(saved(root, X.astype(np.uint8)), root).samples.x.dtype == torch.float32  # a vector of counts
    assert load(saved(root, X[:, 0]), root).samples.x.shape == (8, 1)


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
    found, positions = arrays.texts(y)
    assert found == names
    assert [found[i] for i in positions] == [arrays._text(label) for label in y]


def test_declared_classes_fix_the_order(root: Path) -> None:
    domain = load(NPZ | {"classes": ["1", "0"]}, root)
    assert domain.classes == ("1", "0") and domain.samples.y.tolist() == (1 - Y).tolist()
    assert "label '1' (4 rows) is not among the 1 classes" in refused(NPZ | {"classes": ["0"]}, root)
    assert "no row has the class '2'; the labels are 0, 1" in refused(NPZ | {"classes": [0, 1, 2]}, root)


def test_the_test_part_is_numbered_and_prepared_like_the_main_part(root: Path) -> None:
    np.savez(root / "t.npz", x=X[:3] + 1, y=np.array([1, 1, 1]), far=np.array([7, 7, 7]), wide=np.ones((3, 6)))
    table = NPZ | {"prepare": ["zscore"], "test": {"path": "t.npz"}}
    domain = load(table, root)
    assert domain.test is not None and domain.test.y.tolist() == [1, 1, 1]
    expected = (X[:3] + 1 - X.mean(0)) / X.std(0)
    np.testing.assert_allclose(domain.test.x, expected, rtol=1e-6)
    assert "domains.d.test: label '7' (3 rows)" in refused(NPZ | {"test": {"path": "t.npz", "y": "far"}}, root)
    assert "test rows are (6,), main rows (5,)" in refused(NPZ | {"test": {"path": "t.npz", "x": "wide"}}, root)


def test_rows_are_a_stratified_subsample(tmp_path: Path) -> None:
    domain = load(IRIS | {"samples": 30}, tmp_path)
    assert domain.samples.y.bincount().tolist() == [10, 10, 10]
    assert domain.fingerprint == load(IRIS | {"samples": 30}, tmp_path).fingerprint
    assert len(load(IRIS | {"samples": 1000}, tmp_path).samples) == 150


def test_the_fingerprint_follows_content_not_path(root: Path) -> None:
    first = load(NPZ | {"test": {}}, root).fingerprint
    assert len(first) == 16 and int(first, 16) >= 0
    np.savez(root / "other.npz", a=X, b=Y.astype(np.float32))
    assert load(NPZ | {"path": "other.npz", "x": "a", "y": "b", "test": {}}, root).fingerprint == first
    changed = [
        NPZ,
        saved(root, X + 1) | {"test": {}},
        saved(root, X, 1 - Y) | {"test": {}},
        saved(root, X, Y + 1) | {"test": {}},
        NPZ | {"test": {"samples": 4}},
        NPZ | {"shape": [5, 1], "test": {}},
    ]
    assert first not in {load(table, root).fingerprint for table in changed[:1] + changed[4:]}
    for x, y in ((X + 1, Y), (X, 1 - Y), (X, Y + 1)):
        assert load(saved(root, x, y) | {"test": {}}, root).fingerprint != first


# --- preparations ---


@pytest.mark.parametrize("kind", ["row_sum", "l2", "log1p", "zscore", "scale"])
def test_sparse_rows_are_prepared_as_dense_ones(kind: str) -> None:
    x = np.where(X % 3 == 0, X, 0)
    x[2] = 0
    function = preparation.kinds.function(kind)
    from_sparse = function(sparse.csr_array(x), sparse.csr_array(x))
    np.testing.assert_allclose(arrays.dense(from_sparse), function(x, x))
    assert np.isfinite(function(x, x)).all()


def test_preparations_by_hand() -> None:
    np.testing.assert_allclose(preparation.row_sum(X, X).sum(1), 1)
    np.testing.assert_allclose(np.linalg.norm(preparation.l2(X, X), axis=1), 1)
    z = preparation.zscore(X, X, ddof=1)
    np.testing.assert_allclose(z.std(0, ddof=1), 1)
    constant = np.full((3, 2), 0.1)
    assert (preparation.zscore(constant, constant) == 0).all()
    with pytest.raises(TlbenchError, match="log1p needs values above -1; the smallest is -2"):
        preparation.log1p(X - 2, X)


def test_image_preparations() -> None:
    rng = np.random.default_rng(0)
    colour = rng.integers(0, 256, (3, 3, 16, 16), dtype=np.uint8)
    small = preparation.resize(colour, colour, size=8)
    assert small.shape == (3, 3, 8, 8) and small.dtype == np.uint8
    one = preparation.grey(colour, colour)
    assert one.shape == (3, 1, 16, 16) and one.dtype == np.uint8
    same = np.repeat(colour[:, :1], 3, axis=1)
    assert (preparation.grey(same, same) == same[:, :1]).all()
    unit = preparation.scale(colour, colour)
    assert unit.dtype == np.float32 and (preparation.to_uint8(unit, unit) == colour).all()
    with pytest.raises(TlbenchError, match="put a scale before it"):
        preparation.to_uint8(unit * 2, unit)
    with pytest.raises(TlbenchError, match="images of 3 channels"):
        preparation.grey(colour[:, :2], colour)
    for name in ("resize", "grey", "to_uint8"):
        with pytest.raises(TlbenchError, match="give their shape"):
            preparation.kinds.function(name)(X, X)


# --- against truth ---


def nearest(source: Domain, target: Domain) -> float:
    """1-NN accuracy in per cent."""
    found = torch.cdist(target.samples.x.double(), source.samples.x.double()).argmin(1)
    return 100 * float((source.samples.y[found] == target.samples.y).double().mean())


@pytest.mark.data
def test_office_caltech_surf_gives_the_published_figures(data_root: Path) -> None:
    table = {"reader": "mat", "x": "fts", "y": "labels", "prepare": ["row_sum", "zscore"]}
    names = {"C": "Caltech10", "A": "amazon", "W": "webcam", "D": "dslr"}
    domains = {k: load(table | {"path": f"office_caltech10/surf/{n}_SURF_L10.mat"}, data_root) for k, n in names.items()}
    published = {
        "C": {"A": 23.70, "W": 25.76, "D": 25.48},
        "A": {"C": 26.00, "W": 29.83, "D": 25.48},
        "W": {"C": 19.86, "A": 22.96, "D": 59.24},
        "D": {"C": 26.27, "A": 28.50, "W": 63.39},
    }
    found = {s: {t: nearest(domains[s], domains[t]) for t in row} for s, row in published.items()}
    for source, row in published.items():
        assert found[source] == pytest.approx(row, abs=0.01), source


@pytest.mark.data
@pytest.mark.parametrize(("file", "figure"), [("USPS_vs_MNIST", 44.70), ("MNIST_vs_USPS", 65.94)])
def test_digits_of_the_jda_paper_give_the_published_figures(data_root: Path, file: str, figure: float) -> None:
    table = {"reader": "mat", "path": f"digits_jda/{file}.mat", "columns": True, "prepare": ["l2"]}
    source, target = (load(table | {"x": f"X_{part}", "y": f"Y_{part}"}, data_root) for part in ("src", "tar"))
    assert nearest(source, target) == pytest.approx(figure, abs=0.01)


@pytest.mark.data
def test_mnist_usps_and_amazon_come_as_declared(data_root: Path) -> None:
    folder = "mnist/{}-{}-ubyte.gz"
    test = {"images": folder.format("t10k", "images-idx3"), "labels": folder.format("t10k", "labels-idx1")}
    train = {"images": folder.format("train", "images-idx3"), "labels": folder.format("train", "labels-idx1")}
    mnist = load({"reader": "idx", "test": test, **train}, data_root)
    assert mnist.samples.x.shape == (60000, 1, 28, 28) and mnist.samples.x.dtype == torch.uint8
    assert mnist.test is not None and len(mnist.test) == 10000 and mnist.samples.y[:5].tolist() == [5, 0, 4, 1, 9]

    table: Any = {"reader": "npz", "path": "usps/usps.npz", "x": "x_train", "y": "y_train", "shape": [1, 16, 16]}
    usps = load(table | {"prepare": ["to_uint8", {"kind": "resize", "size": 28}]}, data_root)
    assert usps.samples.x.shape == (7291, 1, 28, 28) and usps.samples.x.dtype == torch.uint8
    assert usps.classes == mnist.classes

    path = "amazon_reviews/bow5000/books_train.svmlight.gz"
    books = load({"reader": "svmlight", "path": path, "features": 5000}, data_root)
    assert books.samples.x.shape == (2000, 5000) and books.classes == ("-1", "1")
