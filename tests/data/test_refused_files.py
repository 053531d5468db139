"""Bad and hostile files, the same for every reader of files: one clear error that names the domain and the thing."""

from __future__ import annotations

import bz2
import gzip
import io
import json
import os
import struct
import tarfile
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pandas as pd
import pytest
import scipy.io
from domain_tables import load_domain, refused_domain
from PIL import Image

from tlbench.data.decoding import files
from tlbench.errors import TlbenchError

X = np.random.default_rng(0).normal(size=(12, 6)).astype(np.float32)
Y = np.arange(12) % 3

TABLE = {"label": "y"}
READERS: dict[str, dict[str, Any]] = {
    "d.csv": {"reader": "csv", "path": "d.csv", **TABLE},
    "d.csv.gz": {"reader": "csv", "path": "d.csv.gz", **TABLE},
    "d.parquet": {"reader": "parquet", "path": "d.parquet", **TABLE},
    "d.feather": {"reader": "parquet", "path": "d.feather", **TABLE},
    "d.jsonl": {"reader": "jsonl", "path": "d.jsonl", **TABLE},
    "d.npz": {"reader": "npz", "path": "d.npz", "x": "x", "y": "y"},
    "x.npy": {"reader": "npy", "x": "x.npy", "y": "y.npy"},
    "d.mat": {"reader": "mat", "path": "d.mat", "x": "x", "y": "y"},
    "v73.mat": {"reader": "mat", "path": "v73.mat", "x": "x", "y": "y"},
    "d.h5": {"reader": "hdf5", "path": "d.h5", "x": "x", "y": "y"},
    "x.idx": {"reader": "idx", "images": "x.idx", "labels": "y.idx"},
    "x.idx.gz": {"reader": "idx", "images": "x.idx.gz", "labels": "y.idx"},
    "d.svm": {"reader": "svmlight", "path": "d.svm", "features": 6},
    "s.npz": {"reader": "series", "path": "s.npz", "x": "x", "y": "y", "layout": "time_channel"},
    "photos.tar": {"reader": "images", "path": "photos.tar", "size": 4},
    "photos.tgz": {"reader": "images", "path": "photos.tgz", "size": 4},
    "t.csv": {"reader": "text", "path": "t.csv", "column": "words", "label": "y", "features": "hashed", "size": 16},
    "t.json.gz": {"reader": "text", "path": "t.json.gz", "split": "train", "column": "0", "label": "1", "size": 16},
    "lines.tgz": {"reader": "text", "archive": "lines.tgz", "texts": "s/text.txt", "labels": "s/labels.txt", "size": 16},
    "set.parquet": {"reader": "datasets", "path": "set.parquet", "label": "y", "features": ["a", "b"]},
}
"""By the file that is damaged."""
LINES = {"d.csv", "d.jsonl", "d.svm", "t.csv"}
"""Files of plain lines: some truncations leave complete lines."""
NAMED = sorted(READERS.keys() - {"x.npy", "x.idx", "x.idx.gz", "d.svm", "photos.tar", "photos.tgz", "lines.tgz"})
"""Readers that take a column or a key by its name."""
NUMBERS = sorted(READERS.keys() - {"x.idx", "x.idx.gz", "photos.tar", "photos.tgz", "t.csv", "t.json.gz", "lines.tgz"})


def write(root: Path, x: Any = X) -> None:
    frame = pd.DataFrame({"a": x[:, 0], "b": x[:, 1], "y": Y})
    frame.to_csv(root / "d.csv", index=False)
    (root / "d.csv.gz").write_bytes(gzip.compress((root / "d.csv").read_bytes(), mtime=0))
    frame.to_parquet(root / "d.parquet")
    frame.to_parquet(root / "set.parquet")
    frame.to_feather(root / "d.feather")
    (root / "d.jsonl").write_text(
        "".join(f'{{"a": {a}, "y": {y}}}\n' for a, y in zip(map(float, x[:, 0]), Y, strict=True))
        .replace("inf", "Infinity")
        .replace("nan", "NaN")
    )
    np.savez_compressed(root / "d.npz", x=x, y=Y)
    np.savez_compressed(root / "s.npz", x=x.reshape(12, 3, 2), y=Y)
    np.save(root / "x.npy", x)
    np.save(root / "y.npy", Y)
    scipy.io.savemat(root / "d.mat", {"x": x, "y": Y}, do_compression=True)
    with h5py.File(root / "d.h5", "w") as file:
        file["x"], file["y"] = x, Y
    with h5py.File(root / "v73.mat", "w", userblock_size=512) as file:
        file["x"], file["y"] = x.T, Y[None].astype(float)
    head = b"MATLAB 7.3 MAT-file, Platform: GLNXA64".ljust(124) + struct.pack("<HH", 0x0200, 0x4D49)
    with (root / "v73.mat").open("r+b") as stream:
        stream.write(head)
    images = b"\0\0\x08\x03" + struct.pack(">3I", 12, 2, 3) + bytes(72)
    (root / "x.idx").write_bytes(images)
    (root / "x.idx.gz").write_bytes(gzip.compress(images, mtime=0))
    (root / "y.idx").write_bytes(b"\0\0\x08\x01" + struct.pack(">I", 12) + bytes(Y.tolist()))
    (root / "d.svm").write_text("".join(f"{y} 1:{a} 3:2\n" for a, y in zip(x[:, 0], Y, strict=True)))
    (root / "t.csv").write_text("words,y\n" + "".join(f"word{i} more,{y}\n" for i, y in enumerate(Y)))
    items = json.dumps({"train": [[f"word{i} more", int(y)] for i, y in enumerate(Y)], "test": []})
    (root / "t.json.gz").write_bytes(gzip.compress(items.encode(), mtime=0))
    with tarfile.open(root / "lines.tgz", "w:gz") as archive:
        for name, lines in (("text", [f"word{i} more" for i in range(12)]), ("labels", map(str, Y))):
            member = tarfile.TarInfo(f"s/{name}.txt")
            content = "\n".join(lines).encode()
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    for name, mode in (("photos.tar", "w"), ("photos.tgz", "w:gz")):
        with tarfile.open(root / name, mode) as archive:  # type: ignore[call-overload]
            for number, label in enumerate(Y):
                stream_ = io.BytesIO()
                Image.new("L", (6, 6), number).save(stream_, "PNG")
                member = tarfile.TarInfo(f"{label}/{number}.png")
                member.size = len(stream_.getvalue())
                archive.addfile(member, io.BytesIO(stream_.getvalue()))


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("whole")
    write(root)
    return root


def renamed(file: str, to: str) -> dict[str, Any]:
    return {key: to if value == file else value for key, value in READERS[file].items()}


@pytest.mark.parametrize("file", READERS)
def test_an_intact_file_has_twelve_samples(whole: Path, file: str) -> None:
    domain = load_domain(READERS[file], whole)
    assert len(domain.samples) == 12 and domain.classes == ("0", "1", "2")


@pytest.mark.parametrize("file", READERS)
def test_a_missing_file_or_a_folder_in_its_place(whole: Path, tmp_path: Path, file: str) -> None:
    message = refused_domain(renamed(file, f"none-{file}"), whole)
    assert f"none-{file}" in message and str(whole) in message
    (tmp_path / f"folder-{file}").mkdir()
    refused_domain(renamed(file, f"folder-{file}"), tmp_path)


@pytest.mark.parametrize("file", READERS)
def test_paths_and_links_that_leave_the_root(whole: Path, tmp_path: Path, file: str) -> None:
    (tmp_path / "root").mkdir()
    (tmp_path / "root" / "y.npy").write_bytes((whole / "y.npy").read_bytes())
    (tmp_path / "root" / "y.idx").write_bytes((whole / "y.idx").read_bytes())
    (tmp_path / "root" / f"link-{file}").symlink_to(whole / file)
    for path in (f"../{whole.name}/{file}", str(whole / file), f"link-{file}"):
        assert "leaves" in refused_domain(renamed(file, path), tmp_path / "root"), path


@pytest.mark.parametrize("share", [0.0, 0.1, 0.5, 0.9])
@pytest.mark.parametrize("file", READERS)
def test_a_truncated_file(whole: Path, tmp_path: Path, file: str, share: float) -> None:
    for name in ("y.npy", "y.idx"):
        (tmp_path / name).write_bytes((whole / name).read_bytes())
    content = (whole / file).read_bytes()
    length = 12 * 1024 if file == "photos.tar" else len(content)  # twelve images: zeros fill the last record of an archive
    (tmp_path / file).write_bytes(content[: int(share * length)])
    if file in LINES and share:
        try:
            assert len(load_domain(READERS[file], tmp_path).samples) < 12
        except TlbenchError as error:
            assert str(error).startswith("domains.d: ")
        return
    assert file in refused_domain(READERS[file], tmp_path)


@pytest.mark.parametrize("file", READERS)
def test_a_file_of_another_format(whole: Path, tmp_path: Path, file: str) -> None:
    for name in ("y.npy", "y.idx"):
        (tmp_path / name).write_bytes((whole / name).read_bytes())
    other = "d.npz" if READERS[file]["reader"] in {"parquet", "datasets"} else "d.parquet"
    for junk in (b"\x80\x04\x95junk\xff\xfe" * 40, (whole / other).read_bytes()):
        (tmp_path / file).write_bytes(junk)
        refused_domain(READERS[file], tmp_path)


@pytest.mark.parametrize("file", NAMED)
def test_a_column_or_key_that_is_not_there(whole: Path, file: str) -> None:
    key = "label" if "label" in READERS[file] else "y"
    assert "yy" in refused_domain(READERS[file] | {key: "yy"}, whole)


@pytest.mark.parametrize("value", [np.inf, np.nan])
@pytest.mark.parametrize("file", NUMBERS)
def test_values_that_are_not_finite(tmp_path: Path, file: str, value: float) -> None:
    x = X.copy()
    x[4, 0] = value
    write(tmp_path, x)
    message = refused_domain(READERS[file], tmp_path)
    assert "NaN or infinite" in message or "missing" in message or "lacks a number" in message or "not a whole" in message


@pytest.mark.parametrize("file", READERS)
def test_labels_outside_the_class_list(whole: Path, file: str) -> None:
    assert "'2'" in refused_domain(READERS[file] | {"classes": ["0", "1"]}, whole)
    assert "'9'" in refused_domain(READERS[file] | {"classes": ["0", "1", "2", "9"]}, whole)


@pytest.mark.parametrize("file", ["d.csv", "d.csv.gz", "d.parquet", "d.feather", "d.jsonl"])
def test_a_where_that_selects_nothing(whole: Path, file: str) -> None:
    assert "where selects none of 12 rows" in refused_domain(READERS[file] | {"where": {"y": 7}}, whole)


def test_objects_that_would_be_unpickled(tmp_path: Path) -> None:
    write(tmp_path)
    np.save(tmp_path / "x.npy", np.array([{"a": 1}] * 12, dtype=object), allow_pickle=True)
    assert "pickled" in refused_domain(READERS["x.npy"], tmp_path)
    np.savez(tmp_path / "s.npz", x=np.array([{"a": 1}] * 12, dtype=object), y=Y)
    assert "pickled" in refused_domain(READERS["s.npz"], tmp_path)
    frame = pd.DataFrame({"a": X[:, 0], "b": X[:, 1], "y": Y})
    frame.to_pickle(tmp_path / "d.parquet")
    refused_domain(READERS["d.parquet"], tmp_path)


@pytest.mark.parametrize(
    "file", ["d.csv.gz", "x.idx.gz", "d.npz", "s.npz", "d.mat", "photos.tgz", "d.h5", "v73.mat", "t.json.gz", "lines.tgz"]
)
def test_decompression_bombs_are_refused(tmp_path: Path, file: str, monkeypatch: pytest.MonkeyPatch) -> None:
    zeros = np.zeros((2**15, 128), dtype=np.float32)  # 16 MiB of nothing
    write(tmp_path)
    if file == "d.csv.gz":
        (tmp_path / file).write_bytes(gzip.compress(b"a,b,y\n" + b"0,0,0\n" * 2**21))
    elif file == "x.idx.gz":
        (tmp_path / file).write_bytes(gzip.compress(b"\0\0\x08\x03" + struct.pack(">3I", 2**14, 32, 32) + bytes(2**24)))
    elif file.endswith(".npz"):
        np.savez_compressed(tmp_path / file, x=zeros.reshape(-1, 16, 8) if file == "s.npz" else zeros, y=np.arange(2**15) % 3)
    elif file == "d.mat":
        scipy.io.savemat(tmp_path / file, {"x": zeros, "y": np.arange(2**15) % 3}, do_compression=True)
    elif file == "t.json.gz":
        (tmp_path / file).write_bytes(gzip.compress(b"[" + b" " * 2**24 + b"]"))
    elif file in {"photos.tgz", "lines.tgz"}:
        with tarfile.open(tmp_path / file, "w:gz") as archive:
            member = tarfile.TarInfo("0/a.png" if file == "photos.tgz" else "s/text.txt")
            member.size = 2**24
            archive.addfile(member, io.BytesIO(bytes(2**24)))
    else:
        with h5py.File(tmp_path / file, "r+") as archive_:
            del archive_["x"]
            archive_.create_dataset("x", data=zeros, compression="gzip", compression_opts=9)
    monkeypatch.setattr(files, "BOMB_BYTES", 2**22)
    monkeypatch.setattr(files, "BOMB_RATIO", 20)
    assert "decompression bomb" in refused_domain(READERS[file], tmp_path)


# --- single readers ---


def test_a_pipe_or_a_link_to_nothing_among_images_is_named(tmp_path: Path) -> None:
    (tmp_path / "photos" / "cat").mkdir(parents=True)
    Image.new("L", (4, 4)).save(tmp_path / "photos" / "cat" / "a.png")
    table = {"reader": "images", "path": "photos", "size": 4}
    os.mkfifo(tmp_path / "photos" / "cat" / "b.png")
    assert "b.png is no plain file" in refused_domain(table, tmp_path)
    (tmp_path / "photos" / "cat" / "b.png").unlink()
    (tmp_path / "photos" / "cat" / "c.png").symlink_to(tmp_path / "photos" / "none.png")
    assert "c.png is no plain file" in refused_domain(table, tmp_path)


def test_a_damaged_image_gives_the_same_message_each_time(tmp_path: Path) -> None:
    (tmp_path / "photos" / "cat").mkdir(parents=True)
    (tmp_path / "photos" / "cat" / "a.png").write_bytes(b"%!PS-Adobe-3.0 EPSF-3.0\nshowpage\n")
    messages = {refused_domain({"reader": "images", "path": "photos", "size": 4}, tmp_path) for _ in range(3)}
    assert len(messages) == 1 and "cat/a.png (not an image of a supported format: JPEG, PNG" in messages.pop()


def test_links_in_a_sparse_matlab_7_3_matrix_are_refused(tmp_path: Path) -> None:
    write(tmp_path)
    with h5py.File(tmp_path / "other.h5", "w") as file:
        file["jc"] = [0, 1, 1]
    with h5py.File(tmp_path / "v73.mat", "r+") as file:
        group = file.create_group("s")
        group["data"], group["ir"], group["jc"] = [1.0], [0], h5py.ExternalLink("other.h5", "jc")
        group.attrs["MATLAB_sparse"] = 12
        cells = np.empty((1, 12), dtype=h5py.ref_dtype)
        cells[:] = file["x"].ref
        file.create_dataset("c", data=cells, dtype=h5py.ref_dtype).attrs["MATLAB_class"] = np.bytes_("cell")
    assert "'jc' is a link; links are refused" in refused_domain(READERS["v73.mat"] | {"x": "s"}, tmp_path)
    assert "'c' is a cell array whose cells are arrays" in refused_domain(READERS["v73.mat"] | {"y": "c"}, tmp_path)


def test_usps_of_torchvision_may_not_be_a_decompression_bomb(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "torchvision").mkdir()
    row = " ".join(f"{j + 1}:{-1 + 0.007 * j:.3f}" for j in range(256))
    content = "".join(f"{i % 10 + 1} {row}\n" for i in range(20)).encode()
    (tmp_path / "torchvision" / "usps.bz2").write_bytes(bz2.compress(content))
    table = {"reader": "torchvision", "name": "USPS"}
    assert load_domain(table, tmp_path).samples.x.shape == (20, 1, 16, 16)
    monkeypatch.setattr(files, "BOMB_BYTES", 2**10)
    monkeypatch.setattr(files, "BOMB_RATIO", 3)
    assert "decompression bomb" in refused_domain(table, tmp_path)
