"""Data sets that torchvision knows by name, from files already in place; fetched only with `--download`.

CIFAR-10 is read from its binary version (`cifar-10-batches-bin`): the Python version is pickled, and nothing here is ever
unpickled.
"""

from __future__ import annotations

import bz2
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import Field

from tlbench.data.decoding import files
from tlbench.data.decoding.arrays import ReaderResult
from tlbench.data.readers import images
from tlbench.errors import TlbenchError
from tlbench.terms import Strict

CIFAR10 = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
CIFAR10_ROW = 1 + 3 * 32 * 32
PLACES = {
    "MNIST": "MNIST/raw/train-images-idx3-ubyte and so on, unzipped",
    "FashionMNIST": "FashionMNIST/raw/train-images-idx3-ubyte and so on, unzipped",
    "KMNIST": "KMNIST/raw/train-images-idx3-ubyte and so on, unzipped",
    "USPS": "usps.bz2 and usps.t.bz2",
    "SVHN": "train_32x32.mat and test_32x32.mat",
    "STL10": "stl10_binary/train_X.bin and so on",
    "EuroSAT": "eurosat/2750/<class>/*.jpg",
    "CIFAR10": "cifar-10-batches-bin/data_batch_1.bin and so on (the binary version)",
}


class Options(Strict, strict=True):
    """Which data set, and where its files are."""

    name: Annotated[
        Literal["MNIST", "FashionMNIST", "KMNIST", "USPS", "SVHN", "STL10", "EuroSAT", "CIFAR10"],
        Field(description=f"one of {', '.join(PLACES)}"),
    ]
    split: Annotated[Literal["train", "test"], Field(description="train or test; EuroSAT has only train")] = "train"
    path: Annotated[str, Field(description="the folder that torchvision calls root, relative to the data root")] = "torchvision"


def read(options: Options, root: Path) -> ReaderResult:
    """Byte images (N, channels, height, width) and labels (N,).

    Raises:
        TlbenchError: files that are not there or damaged, with where they belong.
    """
    if options.name == "EuroSAT" and options.split == "test":
        raise TlbenchError("EuroSAT has no test part of its own; leave split out")
    ours = options.name == "CIFAR10"
    if files.download_allowed() and not ours:
        (root / options.path).mkdir(parents=True, exist_ok=True)
    lacking = f"put {PLACES[options.name]} into {root / options.path}" + (
        " (--download can't: torchvision's own version is pickled)" if ours else ", or give --download"
    )
    try:
        folder = files.find(root, options.path, folder=True)
        x, y = _cifar10(folder, options) if options.name == "CIFAR10" else _known(folder, options, root)
    except TlbenchError as error:
        raise TlbenchError(f"{options.name} {options.split}: {error}; {lacking}") from error
    return ReaderResult(np.asarray(x)[:, None] if x.ndim == 3 else np.asarray(x), np.asarray(y))


def _known(folder: Path, options: Options, root: Path) -> tuple[Any, Any]:
    from torchvision import datasets

    with files.guarded_reading(folder, options.name):
        kind = getattr(datasets, options.name)
        if options.name == "EuroSAT":
            if files.download_allowed():
                kind(str(folder), download=True)
            table = images.read(images.Options(path=str(Path(options.path, "eurosat", "2750")), size=64), root)
            return table.x, table.y
        if options.name == "USPS":
            _unpackable(folder / ("usps.bz2" if options.split == "train" else "usps.t.bz2"))
        by_split = options.name in ("SVHN", "STL10")
        part = {"split": options.split} if by_split else {"train": options.split == "train"}
        found = kind(str(folder), download=files.download_allowed(), **part)
        return np.asarray(found.data), np.asarray(found.labels if by_split else found.targets)


def _unpackable(path: Path) -> None:
    """Hold a bz2 file to a size that it can honestly have: torchvision unpacks it at one go."""
    if path.is_file():  # else torchvision fetches it, or says that it is not there
        with bz2.open(path) as stream:
            unpacked = 0
            while piece := stream.read(1 << 20):
                unpacked += len(piece)
                files.check_unpacked_size(path, unpacked, path.stat().st_size)


def _cifar10(folder: Path, options: Options) -> tuple[Any, Any]:
    names = ["test_batch"] if options.split == "test" else [f"data_batch_{i}" for i in range(1, 6)]
    parts = []
    for name in names:
        path = files.find(folder, f"cifar-10-batches-bin/{name}.bin")
        held = np.fromfile(path, dtype=np.uint8)
        if not len(held) or len(held) % CIFAR10_ROW:
            raise TlbenchError(f"{path}: {len(held)} bytes are no whole number of images; truncated or of another format")
        parts.append(held.reshape(-1, CIFAR10_ROW))
    rows = np.concatenate(parts)
    if rows[:, 0].max() >= len(CIFAR10):
        raise TlbenchError(f"{folder}: holds the label {rows[:, 0].max()}; CIFAR10 has the labels 0 to 9")
    return rows[:, 1:].reshape(-1, 3, 32, 32), np.array(CIFAR10)[rows[:, 0]]
