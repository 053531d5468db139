"""Data sets of torchvision, from files in the data root; they are fetched only with `--download`.

CIFAR-10 is read from its binary version (`cifar-10-batches-bin`): the Python version is pickled, and tlbench unpickles nothing.
"""

from __future__ import annotations

import bz2
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import Field

from tlbench.data.decoding import array_files, files
from tlbench.data.decoding.arrays import ReaderResult
from tlbench.data.readers import images
from tlbench.errors import TlbenchError
from tlbench.terms import Strict

CIFAR10_CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
CIFAR10_RECORD_BYTES = 1 + 3 * 32 * 32
"""A label, and an image of three channels."""
EXPECTED_FILES = {
    "MNIST": "MNIST/raw/train-images-idx3-ubyte and so on, unzipped",
    "FashionMNIST": "FashionMNIST/raw/train-images-idx3-ubyte and so on, unzipped",
    "KMNIST": "KMNIST/raw/train-images-idx3-ubyte and so on, unzipped",
    "USPS": "usps.bz2 and usps.t.bz2",
    "SVHN": "train_32x32.mat and test_32x32.mat",
    "STL10": "stl10_binary/train_X.bin and so on",
    "EuroSAT": "eurosat/2750/<class>/*.jpg",
    "CIFAR10": "cifar-10-batches-bin/data_batch_1.bin and so on (the binary version)",
}
"""Data set -> the files that its folder must hold."""


PATH_KEYS = ("path",)
LIBRARIES = ("torchvision", "pillow", "scipy")


class Options(Strict, strict=True):
    """The data set, its split, and the folder of its files."""

    name: Annotated[
        Literal["MNIST", "FashionMNIST", "KMNIST", "USPS", "SVHN", "STL10", "EuroSAT", "CIFAR10"],
        Field(description=f"one of {', '.join(EXPECTED_FILES)}"),
    ]
    split: Annotated[Literal["train", "test"], Field(description="train or test; EuroSAT has train only")] = "train"
    path: Annotated[str, Field(description="the folder that torchvision calls root, relative to the data root")] = "torchvision"


def read(options: Options, root: Path) -> ReaderResult:
    """Byte images (N, channels, height, width) and labels (N,).

    Raises:
        TlbenchError: files that are not there, with where they belong, or damaged files.
    """
    if options.name == "EuroSAT" and options.split == "test":
        raise TlbenchError("EuroSAT has no test split. Leave split out.")
    is_cifar10 = options.name == "CIFAR10"
    if files.download_allowed() and not is_cifar10:
        (root / options.path).mkdir(parents=True, exist_ok=True)
    hint = f"Put {EXPECTED_FILES[options.name]} into {root / options.path}" + (
        " (--download can't: torchvision's own version is pickled)." if is_cifar10 else ", or give --download."
    )
    try:
        folder = files.find(root, options.path, folder=True)
        x, y = _read_cifar10(folder, options) if is_cifar10 else _read_with_torchvision(folder, options, root)
    except TlbenchError as error:
        raise TlbenchError(f"{options.name} {options.split}: {error} {hint}") from error
    x = np.asarray(x)[:, None] if x.ndim == 3 else np.asarray(x)
    reading = f"{options.name}, split {options.split}, {array_files.described(x)}"
    return ReaderResult(x, np.asarray(y), reading=(reading,))


def _read_with_torchvision(folder: Path, options: Options, root: Path) -> tuple[Any, Any]:
    from torchvision import datasets

    with files.guarded_reading(folder, options.name):
        data_set_class = getattr(datasets, options.name)
        if options.name == "EuroSAT":
            if files.download_allowed():
                data_set_class(str(folder), download=True)
            result = images.read(images.Options(path=str(Path(options.path, "eurosat", "2750")), size=64), root)
            return result.x, result.y
        if options.name == "USPS":
            _check_unpacked_size(folder / ("usps.bz2" if options.split == "train" else "usps.t.bz2"))
        by_split = options.name in ("SVHN", "STL10")
        split = {"split": options.split} if by_split else {"train": options.split == "train"}
        data_set = data_set_class(str(folder), download=files.download_allowed(), **split)
        return np.asarray(data_set.data), np.asarray(data_set.labels if by_split else data_set.targets)


def _check_unpacked_size(path: Path) -> None:
    """Refuse a bz2 file that is a decompression bomb, for torchvision unpacks it in one go."""
    if path.is_file():  # otherwise torchvision fetches it, or reports that it is missing
        with bz2.open(path) as stream:
            unpacked = 0
            while chunk := stream.read(1 << 20):
                unpacked += len(chunk)
                files.check_unpacked_size(path, unpacked, path.stat().st_size)


def _read_cifar10(folder: Path, options: Options) -> tuple[Any, Any]:
    names = ["test_batch"] if options.split == "test" else [f"data_batch_{i}" for i in range(1, 6)]
    batches = []
    for name in names:
        path = files.find(folder, f"cifar-10-batches-bin/{name}.bin")
        content = np.fromfile(path, dtype=np.uint8)
        if not len(content) or len(content) % CIFAR10_RECORD_BYTES:
            raise TlbenchError(
                f"{path}: {len(content)} bytes are no whole number of images. The file is truncated or has another format."
            )
        batches.append(content.reshape(-1, CIFAR10_RECORD_BYTES))
    records = np.concatenate(batches)
    if records[:, 0].max() >= len(CIFAR10_CLASSES):
        raise TlbenchError(f"{folder}: The files hold the label {records[:, 0].max()}. CIFAR10 has the labels 0 to 9.")
    return records[:, 1:].reshape(-1, 3, 32, 32), np.array(CIFAR10_CLASSES)[records[:, 0]]
