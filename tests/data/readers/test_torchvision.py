"""Data sets of torchvision from files in the data root."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import pytest
import torch
from domain_tables import load_domain, refused_domain
from reader_files import encoded_image


def test_torchvision_reads_files_in_place(tmp_path: Path) -> None:
    raw = tmp_path / "torchvision" / "MNIST" / "raw"
    raw.mkdir(parents=True)
    pixels = np.arange(2 * 28 * 28, dtype=np.uint8).reshape(2, 28, 28)
    for part in ("train", "t10k"):
        (raw / f"{part}-images-idx3-ubyte").write_bytes(struct.pack(">HBBIII", 0, 8, 3, *pixels.shape) + pixels.tobytes())
        (raw / f"{part}-labels-idx1-ubyte").write_bytes(struct.pack(">HBBI", 0, 8, 1, 2) + bytes([3, 7]))
    domain = load_domain({"reader": "torchvision", "name": "MNIST"}, tmp_path)
    assert domain.samples.x.shape == (2, 1, 28, 28) and domain.samples.x.dtype == torch.uint8 and domain.classes == ("3", "7")
    assert torch.equal(domain.samples.x[:, 0], torch.from_numpy(pixels))

    folder = tmp_path / "torchvision" / "cifar-10-batches-bin"
    folder.mkdir()
    (folder / "test_batch.bin").write_bytes(bytes([3]) + bytes(3072) + bytes([9]) + bytes(3072))
    cifar = {"reader": "torchvision", "name": "CIFAR10", "split": "test"}
    assert load_domain(cifar, tmp_path).classes == ("cat", "truck")
    (folder / "test_batch.bin").write_bytes(bytes(3000))
    assert "3000 bytes are no whole number of images" in refused_domain(cifar, tmp_path)
    assert "data_batch_1.bin" in refused_domain(cifar | {"split": "train"}, tmp_path)
    assert "--download can't: torchvision's own version is pickled" in refused_domain(cifar | {"split": "train"}, tmp_path)

    (tmp_path / "torchvision/eurosat/2750/River").mkdir(parents=True)
    (tmp_path / "torchvision/eurosat/2750/River/a.jpg").write_bytes(encoded_image("blue", (64, 64), "JPEG"))
    assert load_domain({"reader": "torchvision", "name": "EuroSAT"}, tmp_path).samples.x.shape == (1, 3, 64, 64)


@pytest.mark.parametrize("name", ["MNIST", "KMNIST", "USPS", "SVHN", "STL10", "CIFAR10"])
def test_torchvision_names_what_is_not_there(tmp_path: Path, name: str) -> None:
    table = {"reader": "torchvision", "name": name}
    assert "folder 'torchvision' is not there" in refused_domain(table, tmp_path)
    (tmp_path / "torchvision").mkdir()
    message = refused_domain(table, tmp_path)
    assert message.startswith(f"domains.d: {name} train: ") and f"into {tmp_path / 'torchvision'}" in message
