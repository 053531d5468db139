"""What a reader reads and what it leaves out is told for arrays, sparse lines, images, series and tables alike."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from domain_tables import load_domain, refused_domain
from reader_files import encoded_image

from tlbench.data import preview, readers
from tlbench.data.decoding import files
from tlbench.errors import TlbenchError

RNG = np.random.default_rng(0)
X, Y, G = RNG.standard_normal((12, 5)), np.arange(12) % 3, np.arange(12) % 2


def write_npz(root: Path) -> dict[str, Any]:
    np.savez(root / "d.npz", x=X, y=Y, g=G, extra=X, other=Y)
    return {"reader": "npz", "path": "d.npz", "x": "x", "y": "y", "where": {"g": 1}}


def write_npy(root: Path) -> dict[str, Any]:
    np.save(root / "x.npy", X)
    np.save(root / "y.npy", Y)
    return {"reader": "npy", "x": "x.npy", "y": "y.npy"}


def write_mat(root: Path) -> dict[str, Any]:
    from scipy.io import savemat

    savemat(root / "d.mat", {"X": X, "Y": Y[:, None], "extra": X})
    return {"reader": "mat", "path": "d.mat", "x": "X", "y": "Y"}


def write_hdf5(root: Path) -> dict[str, Any]:
    import h5py

    with h5py.File(root / "d.h5", "w") as file:
        file["train/x"], file["train/y"], file["test/x"] = X, Y, X
        file["link"] = h5py.SoftLink("/train/x")
    return {"reader": "hdf5", "path": "d.h5", "x": "train/x", "y": "train/y"}


def write_svmlight(root: Path) -> dict[str, Any]:
    (root / "d.txt").write_text("1 0:2 3:1\n2 1:1\n")
    return {"reader": "svmlight", "path": "d.txt", "features": 6}


def write_images(root: Path) -> dict[str, Any]:
    for label in ("cat", "dog"):
        (root / "pets" / label).mkdir(parents=True)
        (root / "pets" / label / "0.png").write_bytes(encoded_image("red"))
    (root / "pets" / "cat" / "notes.txt").write_text("no image")
    return {"reader": "images", "path": "pets", "size": 8}


def write_series(root: Path) -> dict[str, Any]:
    np.savez(root / "d.npz", x=RNG.standard_normal((6, 20, 3)), y=Y[:6], extra=Y)
    return {"reader": "series", "path": "d.npz", "x": "x", "y": "y", "layout": "time_channel"}


def write_idx(root: Path) -> dict[str, Any]:
    (root / "x").write_bytes(bytes([0, 0, 8, 3, 0, 0, 0, 2, 0, 0, 0, 3, 0, 0, 0, 3]) + bytes(18))
    (root / "y").write_bytes(bytes([0, 0, 8, 1, 0, 0, 0, 2]) + bytes([0, 1]))
    return {"reader": "idx", "images": "x", "labels": "y"}


CASES = {
    write_npz: [
        "samples x, 6 of 5 (float64); labels y; where g",
        "6 of 12 samples, 6 left out by where",
        "left out, for no key names them: extra, other",
    ],
    write_npy: ["samples x.npy, 12 of 5 (float64); labels y.npy"],
    write_mat: ["samples X, 12 of 5 (float64); labels Y", "left out, for no key names them: extra"],
    write_hdf5: ["samples train/x, 12 of 5 (float64); labels train/y", "left out, for no key names them: test/x"],
    write_svmlight: ["samples d.txt, 2 of 6 (float32, sparse); labels of the lines", "3 of 6 features are 0 in all samples"],
    write_images: ["2 of 2 images in 2 folders of", "resized to 8 pixels, three channels"],
    write_series: ["samples x, 6 windows of 3 channels x 20 time steps; labels y", "left out, for no key names them: extra"],
    write_idx: ["samples x, 2 of 1 x 3 x 3 (uint8); labels y"],
}
"""Writes the files of a reader, and gives its table -> how the sentences begin."""


@pytest.mark.parametrize("write", list(CASES), ids=lambda write: write.__name__.removeprefix("write_"))
def test_a_reader_tells_what_it_reads_and_leaves_out(tmp_path: Path, write: Any) -> None:
    table = write(tmp_path)
    with pytest.warns(UserWarning, match="left out") if write is write_images else contextlib.nullcontext():
        domain = load_domain(table, tmp_path)
    assert len(domain.reading) == len(CASES[write])
    for text, expected in zip(domain.reading, CASES[write], strict=True):
        assert text.startswith(expected)
    # a note is on the records where something was left out that no key leaves out
    assert bool(domain.notes) == (write is write_images)


def test_class_by_array_and_by_file_are_told(tmp_path: Path) -> None:
    np.savez(tmp_path / "d.npz", cat=X, dog=X + 1, y=Y)
    (by_array, left_out) = load_domain({"reader": "npz", "path": "d.npz", "x": {"c": "cat", "d": "dog"}}, tmp_path).reading
    assert by_array == "samples cat, dog, 24 of 5 (float64); the class is that of the array" and left_out.endswith(": y")
    np.savez(tmp_path / "e.npz", cat=X + 2)
    by_file = load_domain({"reader": "npz", "files": {"c": "d.npz", "e": "e.npz"}, "x": "cat"}, tmp_path).reading
    assert by_file[0] == "samples cat, 24 of 5 (float64); the class is that of the file"


def test_reading_is_shown_and_is_no_part_of_the_fingerprint(tmp_path: Path) -> None:
    table = write_npz(tmp_path)
    domain = load_domain(table, tmp_path)
    np.savez(tmp_path / "d.npz", x=X, y=Y, g=G)
    other = load_domain(table, tmp_path)
    assert other.fingerprint == domain.fingerprint and other.reading != domain.reading
    from domain_tables import declare_domain

    assert "left out, for no key names them: extra" in preview.summary_text(declare_domain(table), domain)


def test_every_reader_of_files_names_the_libraries_that_decode_them() -> None:
    plain = {"npz", "npy", "idx", "idx_pairs", "series", "simulated", "shapes", "scikit_learn"}
    assert {name for name in readers.names() if not getattr(readers.get(name), "LIBRARIES", ())} == plain


def test_a_folder_among_several_paths_of_a_data_set_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "b.csv").write_text("x,y\n1,2\n")
    for paths in (["a", "b.csv"], ["b.csv", "a"]):
        text = refused_domain({"reader": "datasets", "path": paths, "label": "y", "features": ["x"]}, tmp_path)
        assert "'a' is a folder" in text and "Name one folder" in text


def error_of(root: Path, path: str, folder: bool = False) -> str:
    with pytest.raises(TlbenchError) as caught:
        files.find(root, path, folder=folder)
    return str(caught.value)


def test_a_misspelt_path_is_told_what_may_be_meant(tmp_path: Path) -> None:
    (tmp_path / "office" / "amazon").mkdir(parents=True)
    assert "Did you mean 'office'?" in error_of(tmp_path, "ofice", folder=True)
    assert "Did you mean 'office/amazon'?" in error_of(tmp_path, "office/Amazon", folder=True)
    assert "Did you mean 'office'?" in error_of(tmp_path, "Office/amazon", folder=True)
    text = error_of(tmp_path, "office/webcam", folder=True)
    assert "The folder 'office' is there, and holds no such name" in text and "--data DIR" not in text
    assert "--data DIR" in error_of(tmp_path, "mnist/train.gz")
    assert "is a folder, not a file" in (text := error_of(tmp_path, "office")) and "Correct the path" in text
    assert "--data DIR" in error_of(tmp_path / "none", "office")
