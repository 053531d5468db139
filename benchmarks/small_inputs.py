"""Small valid files of every reader, of suites and of results, and what reads each of them."""

from __future__ import annotations

import gzip
import importlib
import io
import json
import struct
import tarfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from tlbench import data, records
from tlbench.suite import load_suite

SUITE_TEXT = """name = "tiny"
version = 1
[data]
reader = "npz"
x = "x"
y = "y"
[domains.a]
path = "d.npz"
[domains.b]
path = "d.npz"
severity = [1, 2]
shifts = [{ kind = "noise", sigma = [0.1, 0.2] }]
[pairs]
list = ["a:b"]
[protocol]
seeds = [0, 1]
target_labels = [1, 3]
[net]
backbone = "mlp"
hidden = [8]
[train]
steps = 5
batch = 8
lr = 1e-3
[methods.source_only]
[methods.coral]
weight = 2.0
"""
TABLE: list[dict[str, Any]] = [
    {"a": 1.0, "b": 2, "sex": "F", "year": 2001, "y": "no"},
    {"a": 2.5, "b": 3, "sex": "M", "year": 2002, "y": "yes"},
    {"a": 3.0, "b": 5, "sex": "F", "year": 2003, "y": "yes"},
    {"a": 4.0, "b": 7, "sex": "M", "year": 2004, "y": "no"},
]
X, Y = np.arange(40, dtype=np.float64).reshape(8, 5), np.array([0, 1] * 4)


@dataclass(frozen=True)
class Input:
    """A small valid file, and what reads it."""

    name: str
    file: str
    """The path of the file that is mutated, relative to the folder of all files."""
    read: Callable[[Path], object]
    weight: int = 10
    """How often it is drawn, beside the others."""


def domain_input(name: str, file: str, weight: int = 10, /, **table: Any) -> Input:
    """An input of a data reader, from the table of a domain."""

    def read(folder: Path) -> object:
        declaration, errors = data.declare("d", table, {})
        assert declaration is not None, errors
        return data.load(declaration, folder)

    return Input(name, file, read, weight)


def inputs() -> list[Input]:
    """The inputs of all readers of files: of data, of suites and of results."""
    table: dict[str, Any] = {"path": "d.csv", "label": "y"}
    arrays: dict[str, Any] = {"x": "x", "y": "y"}
    image = {"reader": "images", "size": 8}
    wav: dict[str, Any] = {"reader": "wav", "rate": 4000, "seconds": 0.1, "n_fft": 64, "hop": 32, "mels": 8}
    masks: dict[str, Any] = {"reader": "masks", "task": "pixels", "images": "image", "masks": "mask", "size": 8}
    tagged: dict[str, Any] = {"reader": "conll", "task": "tokens", "vocabulary": "vectors.npz", "length": 4}
    lines: dict[str, Any] = {"reader": "text", "texts": "s/good.txt", "labels": "s/labels.txt", "size": 64}
    return [
        domain_input("csv", "d.csv", reader="csv", **table),
        domain_input("csv.gz", "d.csv.gz", reader="csv", path="d.csv.gz", label="y", group="sex"),
        domain_input("jsonl", "d.jsonl", reader="jsonl", path="d.jsonl", label="y"),
        domain_input("parquet", "d.parquet", reader="parquet", path="d.parquet", label="y"),
        domain_input("feather", "d.feather", reader="parquet", path="d.feather", label="y"),
        domain_input("arrow", "d.arrow", reader="parquet", path="d.arrow", label="y"),
        domain_input("npz", "d.npz", reader="npz", path="d.npz", **arrays),
        domain_input("npy", "x.npy", reader="npy", x="x.npy", y="y.npy"),
        domain_input("npy labels", "y.npy", reader="npy", x="x.npy", y="y.npy"),
        domain_input("series", "s.npz", reader="series", path="s.npz", layout="channel_time", **arrays),
        domain_input("mat 7.3", "d.mat", reader="mat", path="d.mat", **arrays),
        domain_input("mat 5", "5.mat", reader="mat", path="5.mat", **arrays),
        domain_input("mat 5, compressed", "c.mat", reader="mat", path="c.mat", **arrays),
        domain_input("mat 5, struct", "t.mat", reader="mat", path="t.mat", x="t.x", y="t.y"),
        domain_input("mat 5, sparse", "p.mat", reader="mat", path="p.mat", **arrays),
        domain_input("mat 5, cells", "e.mat", reader="mat", path="e.mat", cells=[1, 2], **arrays),
        domain_input("hdf5", "d.h5", reader="hdf5", path="d.h5", **arrays),
        domain_input("idx", "images", reader="idx", images="images", labels="labels.gz"),
        domain_input("idx labels, gzip", "labels.gz", reader="idx", images="images", labels="labels.gz"),
        domain_input("svmlight", "d.svm", reader="svmlight", path="d.svm", features=5),
        domain_input("svmlight.gz", "d.svm.gz", reader="svmlight", path="d.svm.gz", features=5),
        *(
            domain_input(f"image {kind}", f"{kind}/cat/a.{kind}", path=kind, **image)
            for kind in ("png", "jpeg", "gif", "bmp", "tiff", "webp")
        ),
        domain_input("wav", "wav/no/a.wav", path="wav", **wav),
        domain_input("wav, 24 bits, by pattern", "takes/7_ann_0.wav", path="takes", pattern=r"(?P<label>\d)_.*", **wav),
        domain_input("images in tar", "photos.tar", path="photos.tar", domain="png", **image),
        domain_input("images in tar.gz", "photos.tar.gz", path="photos.tar.gz", domain="png", **image),
        *(domain_input(f"masks, {one}", one, path=one.split("/")[0], **masks) for one in ("pixels/mask/a.png", "pixels.tar")),
        *(domain_input(f"tagged words, {file}", file, path="tags.tsv", **tagged) for file in ("tags.tsv", "vectors.npz")),
        domain_input("text", "good.txt", reader="text", files={"good": "good.txt", "bad": "bad.txt"}, size=64),
        domain_input(
            "pseudo-XML", "good.xml", reader="text", files={"good": "good.xml", "bad": "bad.xml"}, tag="t", features="tfidf"
        ),
        domain_input("texts in csv", "t.csv", reader="text", path="t.csv", column="words", label="y", size=64),
        domain_input("texts in jsonl", "t.jsonl", reader="text", path="t.jsonl", column="words", label="y", size=64),
        domain_input("texts in json", "t.json", reader="text", path="t.json", split="train", column="0", label="1", size=64),
        domain_input("texts and labels", "labels.txt", reader="text", texts="good.txt", labels="labels.txt", size=64),
        *(domain_input(f"texts and labels in {one}", one, archive=one, **lines) for one in ("lines.tar", "lines.tar.gz")),
        domain_input("questions", "q.json", reader="squad", task="spans", path="q.json", vocabulary="encoder", length=24),
        domain_input("datasets, parquet", "h.parquet", 2, reader="datasets", path="h.parquet", label="y", features=["a", "b"]),
        domain_input("datasets, csv", "h.csv", 2, reader="datasets", path="h.csv", label="y", features=["a", "b"]),
        domain_input("datasets, jsonl", "h.jsonl", 2, reader="datasets", path="h.jsonl", label="y", features=["a", "b"]),
        domain_input("torchvision, CIFAR-10", CIFAR, reader="torchvision", name="CIFAR10", split="test"),
        domain_input("torchvision, MNIST", MNIST, reader="torchvision", name="MNIST", split="test"),
        Input("suite", "tiny.toml", lambda folder: load_suite(folder / "tiny.toml")),
        Input("records", "results/tiny/source_only.jsonl", lambda folder: records.read_all(folder / "results")),
        Input("predictions", PREDICTIONS, lambda folder: records.predictions_named(folder / "results", "tiny", "0" * 16)),
    ]


CIFAR = "torchvision/cifar-10-batches-bin/test_batch.bin"
MNIST = "torchvision/MNIST/raw/t10k-images-idx3-ubyte"
PREDICTIONS = f"results/tiny/predictions/{'0' * 16}.npz"


def write_files(folder: Path) -> None:
    """Write the files of all inputs."""
    _write_tables(folder)
    _write_arrays(folder)
    _write_images(folder)
    _write_recordings(folder)
    (folder / "good.txt").write_text("a fine book\n\na good read\n")
    (folder / "bad.txt").write_text("a dull book\n")
    (folder / "good.xml").write_text("<r><t>\nfine café\n</t></r><r><t>good</t></r>", encoding="utf-8")
    (folder / "bad.xml").write_text("<r><t>dull</t></r>")
    (folder / "t.csv").write_text("words,y\nfine book,1\ndull book,0\n")
    (folder / "t.jsonl").write_text('{"words": "fine book", "y": 1}\n{"words": "dull book", "y": 0}\n')
    (folder / "t.json").write_text('{"train": [["fine book", 1], ["dull book", 0]], "test": []}')
    (folder / "labels.txt").write_text("1\n0\n1\n")
    for name in ("lines.tar", "lines.tar.gz"):
        with tarfile.open(folder / name, "w:gz" if name.endswith("gz") else "w") as archive:
            for member in ("good.txt", "labels.txt"):
                archive.add(folder / member, f"s/{member}")
    (folder / "tags.tsv").write_text("the\tDET\ndog\tNOUN\n\ndog\tNOUN\nsees\tVERB\n")
    np.savez(folder / "vectors.npz", words=np.array(["the", "dog", "sees"]), vectors=np.eye(3, dtype=np.float32))
    _write_questions(folder)
    (folder / "tiny.toml").write_text(SUITE_TEXT)
    _write_records(folder / "results" / "tiny")


def _write_questions(folder: Path) -> None:
    transformers: Any = importlib.import_module("transformers")
    (folder / "vocab.txt").write_text("\n".join(("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "who", "ann", "sings")))
    transformers.BertTokenizerFast(vocab=str(folder / "vocab.txt")).save_pretrained(str(folder / "encoder"))
    asked = {"question": "who sings", "answers": [{"text": "ann", "answer_start": 0}]}
    (folder / "q.json").write_text(json.dumps({"data": [{"paragraphs": [{"context": "ann sings", "qas": [asked] * 2}]}]}))


def _write_tables(folder: Path) -> None:
    import pandas as pd
    import pyarrow as pa
    from pyarrow import feather, ipc

    frame = pd.DataFrame(TABLE)
    frame.to_csv(folder / "d.csv", index=False)
    (folder / "d.csv.gz").write_bytes(gzip.compress((folder / "d.csv").read_bytes()))
    (folder / "d.jsonl").write_text("\n".join(map(json.dumps, TABLE)) + "\n")
    frame.to_parquet(folder / "d.parquet")
    table = pa.Table.from_pandas(frame)
    feather.write_feather(table, str(folder / "d.feather"))
    with ipc.new_stream(str(folder / "d.arrow"), table.schema) as writer:
        writer.write_table(table)
    for suffix in ("csv", "jsonl", "parquet"):
        (folder / f"h.{suffix}").write_bytes((folder / f"d.{suffix}").read_bytes())


def _write_arrays(folder: Path) -> None:
    import h5py
    import scipy.io
    import scipy.sparse

    np.savez(folder / "d.npz", x=X, y=Y)
    np.savez_compressed(folder / "s.npz", x=X.reshape(8, 1, 5).astype(np.float32), y=Y)
    np.save(folder / "x.npy", X)
    np.save(folder / "y.npy", Y)
    cells = np.empty(2, object), np.empty(2, object)
    for number in (0, 1):
        cells[0][number], cells[1][number] = X, Y[:, None].astype(float)
    scipy.io.savemat(folder / "5.mat", {"x": X, "y": Y[:, None]})
    scipy.io.savemat(folder / "c.mat", {"x": X, "y": Y[:, None]}, do_compression=True)
    scipy.io.savemat(folder / "t.mat", {"t": {"x": X, "y": Y[:, None]}})
    scipy.io.savemat(folder / "p.mat", {"x": scipy.sparse.csc_matrix(X), "y": Y[:, None]})
    scipy.io.savemat(folder / "e.mat", {"x": cells[0], "y": cells[1]})
    with h5py.File(folder / "d.h5", "w") as file:
        file["x"], file["y"] = X, Y
    with h5py.File(folder / "d.mat", "w", userblock_size=512) as file:
        file["x"], file["y"] = X.T, Y[None]
        file["x"].attrs["MATLAB_class"] = file["y"].attrs["MATLAB_class"] = np.bytes_("double")
    with (folder / "d.mat").open("r+b") as stream:
        stream.write(b"MATLAB 7.3 MAT-file".ljust(124) + b"\0\2IM")
    lines = [f"{label} " + " ".join(f"{i}:{v:g}" for i, v in enumerate(values)) for values, label in zip(X, Y, strict=True)]
    (folder / "d.svm").write_text("\n".join(lines) + "\n")
    (folder / "d.svm.gz").write_bytes(gzip.compress((folder / "d.svm").read_bytes()))
    (folder / "images").write_bytes(struct.pack(">HBBIII", 0, 8, 3, 8, 5, 1) + X.astype(np.uint8).tobytes())
    (folder / "labels.gz").write_bytes(gzip.compress(struct.pack(">HBBI", 0, 8, 1, 8) + Y.astype(np.uint8).tobytes()))
    (folder / CIFAR).parent.mkdir(parents=True)
    (folder / CIFAR).write_bytes(bytes([3]) + bytes(3072) + bytes([9]) + bytes(3072))
    (folder / MNIST).parent.mkdir(parents=True)
    for stem in ("t10k", "train"):
        images = struct.pack(">HBBIII", 0, 8, 3, 2, 28, 28) + bytes(2 * 28 * 28)
        (folder / MNIST).with_name(f"{stem}-images-idx3-ubyte").write_bytes(images)
        (folder / MNIST).with_name(f"{stem}-labels-idx1-ubyte").write_bytes(struct.pack(">HBBI", 0, 8, 1, 2) + b"\3\7")


def _write_images(folder: Path) -> None:
    from PIL import Image

    for kind in ("png", "jpeg", "gif", "bmp", "tiff", "webp"):
        for label, colour in (("cat", (200, 30, 30)), ("dog", (20, 200, 30))):
            (folder / kind / label).mkdir(parents=True)
            Image.new("RGB", (20, 10), colour).save(folder / kind / label / f"a.{kind}", kind.upper())
    for name in ("photos.tar", "photos.tar.gz"):
        content = io.BytesIO()
        with tarfile.open(fileobj=content, mode="w:gz" if name.endswith("gz") else "w") as archive:
            archive.add(folder / "png", "png")
        (folder / name).write_bytes(content.getvalue())
    for name, image in (("image", Image.new("RGB", (8, 8), "red")), ("mask", Image.fromarray(np.eye(8, dtype=np.uint8)))):
        (folder / "pixels" / name).mkdir(parents=True)
        image.save(folder / "pixels" / name / "a.png")
    with tarfile.open(folder / "pixels.tar", "w") as archive:
        for name in ("image", "mask"):
            archive.add(folder / "pixels" / name, name)


def _write_recordings(folder: Path) -> None:
    import wave

    for name, width, rate in (
        ("wav/no/a", 2, 8000),
        ("wav/yes/a", 2, 8000),
        ("takes/7_ann_0", 3, 4000),
        ("takes/8_ann_0", 3, 4000),
    ):
        path = folder / f"{name}.wav"
        path.parent.mkdir(parents=True, exist_ok=True)
        samples = (2 ** (8 * width - 2) * np.sin(np.arange(rate // 8))).astype(int)
        with wave.open(str(path), "wb") as file:
            file.setparams((1, width, rate, 0, "NONE", ""))
            file.writeframes(b"".join(int(sample).to_bytes(width, "little", signed=True) for sample in samples))


def _write_records(folder: Path) -> None:
    facts: dict[str, Any] = {
        "schema": 3,
        "suite": "tiny",
        "suite_version": 1,
        "row": "source_only",
        "method": "source_only",
        "options": {},
        "sources": ["a"],
        "target": "b",
        "seed": 0,
        "identity": "0" * 16,
        "status": "done",
        "kind": "deep",
        "scores": {"target_accuracy": 0.5, "macro_f1": 0.5, "per_class_accuracy": {"0": 0.5}, "scored_rows": 2},
        "cost": {"train_seconds": 0.5, "steps": 5, "batch": 8},
        "machine": {"device": "cpu", "torch": "2"},
        "code": {"tlbench": "1"},
        "data": {"a": "1", "b": "2"},
        "started": "2026-01-01T00:00:00+00:00",
        "finished": "2026-01-01T00:00:01+00:00",
    }
    (folder / "predictions").mkdir(parents=True)
    (folder / "source_only.jsonl").write_text("".join(json.dumps(facts | {"seed": seed}) + "\n" for seed in range(3)))
    np.savez_compressed(
        folder / "predictions" / f"{'0' * 16}.npz", predicted=np.zeros(8, np.uint8), right=np.array([255], np.uint8)
    )
