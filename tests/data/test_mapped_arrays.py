"""Samples larger than memory: chunked processing gives the same domains, in little memory."""

from __future__ import annotations

import gzip
import struct
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import torch
from domain_tables import load_domain

from tlbench.data import preparation
from tlbench.data.decoding import mapped_arrays
from tlbench.errors import TlbenchError

RNG = np.random.default_rng(0)
X = RNG.integers(0, 256, (300, 3, 8, 8), dtype=np.uint8)
Y = np.arange(300) % 3


@pytest.fixture
def small_limits(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    """Everything of more than 4 KiB counts as large."""
    monkeypatch.setattr(mapped_arrays, "MAPPED_BYTES", 4096)
    monkeypatch.setattr(mapped_arrays, "CHUNK_BYTES", 5000)
    monkeypatch.setenv("TLBENCH_CACHE", str(tmp_path / "cache"))
    yield


@pytest.fixture
def root(tmp_path: Path) -> Path:
    np.save(tmp_path / "x.npy", X)
    np.save(tmp_path / "y.npy", Y)
    np.savez(tmp_path / "d.npz", first=Y, x=X, y=Y)
    head = struct.pack(">HBB", 0, 8, 4) + struct.pack(">4I", *X.shape)
    (tmp_path / "x.idx").write_bytes(head + X.tobytes())
    (tmp_path / "x.idx.gz").write_bytes(gzip.compress(head + X.tobytes()))
    (tmp_path / "y.idx").write_bytes(struct.pack(">HBBI", 0, 8, 1, len(Y)) + Y.astype(np.uint8).tobytes())
    with h5py.File(tmp_path / "d.h5", "w") as file:
        file["x"], file["y"] = X, Y
    return tmp_path


READERS = [
    {"reader": "npy", "x": "x.npy", "y": "y.npy"},
    {"reader": "npz", "path": "d.npz", "x": "x", "y": "y"},
    {"reader": "idx", "images": "x.idx", "labels": "y.idx"},
    {"reader": "idx", "images": "x.idx.gz", "labels": "y.idx"},
    {"reader": "hdf5", "path": "d.h5", "x": "x", "y": "y"},
]
CHANGES: list[dict[str, Any]] = [
    {},
    {"samples": 120},
    {"classes": [0, 2], "drop_others": True},
    {"prepare": ["grey", {"kind": "resize", "size": 5}]},
    {"shifts": [{"kind": "noise", "sigma": 0.1}, {"kind": "part", "index": 0, "of": 2}]},
    {"shape": [192], "prepare": ["scale", "log1p", "l2", "row_sum"]},
]


# all that follows the readers is independent of them, and is tested with the first reader only
CASES = [(table, change) for table in READERS for change in CHANGES[:2]] + [(READERS[0], change) for change in CHANGES[2:]]


@pytest.mark.parametrize(
    ("table", "change"),
    CASES,
    ids=[f"{t['reader']}-{t.get('images', '')}-{'-'.join(change) or 'plain'}" for t, change in CASES],
)
def test_chunked_loading_gives_the_same_domain(
    root: Path, table: dict[str, Any], change: dict[str, Any], request: pytest.FixtureRequest
) -> None:
    at_once = load_domain(table | change, root)
    request.getfixturevalue("small_limits")
    large, cached = load_domain(table | change, root), load_domain(table | change, root, cache=root / "cached")
    for domain in (large, cached):
        assert domain.samples.x.dtype == at_once.samples.x.dtype and torch.equal(domain.samples.y, at_once.samples.y)
        assert torch.allclose(domain.samples.x.float(), at_once.samples.x.float(), rtol=1e-6, atol=1e-7)
    assert large.fingerprint == cached.fingerprint
    if large.samples.x.dtype == torch.uint8:
        assert large.fingerprint == at_once.fingerprint


@pytest.mark.usefixtures("small_limits")
def test_a_plain_file_is_mapped_and_writes_stay_out_of_it(root: Path) -> None:
    before = (root / "x.npy").read_bytes()
    domain = load_domain(READERS[0], root)
    assert mapped_arrays.is_mapped(domain.samples.x.numpy())
    domain.samples.x.zero_()
    assert (root / "x.npy").read_bytes() == before and int(load_domain(READERS[0], root).samples.x.sum()) == int(X.sum())


@pytest.mark.usefixtures("small_limits")
def test_chunked_statistics_equal_those_of_the_whole_array(root: Path) -> None:
    x = RNG.normal(3, 2, (500, 7)) * np.array([1, 10, 0.1, 1, 1, 1, 0])
    for ddof in (0, 1):
        z = preparation.zscore(x, x, ddof=ddof)
        mean, std = x.mean(axis=0), x.std(axis=0, ddof=ddof)
        expected = np.where(std == 0, 0, (x - mean) / np.where(std == 0, 1, std))
        np.testing.assert_allclose(z, expected, rtol=1e-5, atol=1e-5)


@pytest.mark.usefixtures("small_limits")
def test_a_full_disk_is_an_error_before_anything_is_written() -> None:
    with pytest.raises(TlbenchError, match=r"on disk, and .* GiB free\. Name another folder by TLBENCH_CACHE"):
        mapped_arrays.empty((2**40, 2**10), np.uint8)


CHILD = """
import sys
from pathlib import Path
from tlbench import data
import torch
def resident():
    return next(int(line.split()[1]) for line in open("/proc/self/status") if line.startswith("VmHWM")) / 1024
declaration, _ = data.declare("d", {"reader": "npy", "x": "x.npy", "y": "y.npy"}, {})
before = resident()
domain = data.load(declaration, Path(sys.argv[1]), Path(sys.argv[2]))
print(len(domain.samples), resident() - before)
"""


@pytest.mark.skipif(not Path("/proc/self/status").is_file(), reason="resident memory is read from /proc, which is not here")
def test_a_large_file_is_loaded_and_cached_in_little_memory(tmp_path: Path) -> None:
    """272 MiB, of which less than 100 MiB are resident at any time; torch is loaded before the first measurement."""
    x = np.lib.format.open_memmap(tmp_path / "x.npy", mode="w+", dtype=np.uint8, shape=(17 * 2**12, 1, 64, 64))
    x[::1000] = 7
    x.flush()
    np.save(tmp_path / "y.npy", np.arange(len(x)) % 2)
    command = [sys.executable, "-c", CHILD, str(tmp_path), str(tmp_path / "cache")]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, done.stderr
    count, added_mib = done.stdout.split()
    assert int(count) == 17 * 2**12 and float(added_mib) < 100
