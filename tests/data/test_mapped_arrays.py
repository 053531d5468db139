"""Rows larger than memory: what is done some at a time gives what is done at once; rows that two parts share are counted."""

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
from hypothesis import given, settings
from hypothesis import strategies as st

from tlbench import data
from tlbench.data import preparation
from tlbench.data.decoding import mapped_arrays
from tlbench.errors import TlbenchError
from tlbench.terms import Domain

RNG = np.random.default_rng(0)
X = RNG.integers(0, 256, (300, 3, 8, 8), dtype=np.uint8)
Y = np.arange(300) % 3


@pytest.fixture
def low(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    """Everything of more than a few KiB counts as large."""
    monkeypatch.setattr(mapped_arrays, "MAPPED_BYTES", 4096)
    monkeypatch.setattr(mapped_arrays, "CHUNK_BYTES", 5000)
    monkeypatch.setenv("TLBENCH_CACHE", str(tmp_path / "cache"))
    yield


def load(table: dict[str, Any], root: Path, cache: Path | None = None) -> Domain:
    declaration, wrong = data.declare("d", table, {})
    assert declaration is not None, wrong
    return data.load(declaration, root, cache)


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
MORE: list[dict[str, Any]] = [
    {},
    {"samples": 120},
    {"classes": [0, 2], "drop_others": True},
    {"prepare": ["grey", {"kind": "resize", "size": 5}]},
    {"shifts": [{"kind": "noise", "sigma": 0.1}, {"kind": "part", "index": 0, "of": 2}]},
    {"shape": [192], "prepare": ["scale", "log1p", "l2", "row_sum"]},
]


# what follows a reader asks not which it was: each reader as it is and in part, and all that follows after one
CASES = [(table, more) for table in READERS for more in MORE[:2]] + [(READERS[0], more) for more in MORE[2:]]


@pytest.mark.parametrize(
    ("table", "more"), CASES, ids=[f"{t['reader']}-{t.get('images', '')}-{'-'.join(more) or 'plain'}" for t, more in CASES]
)
def test_some_at_a_time_is_the_same_as_at_once(
    root: Path, table: dict[str, Any], more: dict[str, Any], request: pytest.FixtureRequest
) -> None:
    at_once = load(table | more, root)
    request.getfixturevalue("low")
    large, kept = load(table | more, root), load(table | more, root, root / "kept")
    for domain in (large, kept):
        assert domain.samples.x.dtype == at_once.samples.x.dtype and torch.equal(domain.samples.y, at_once.samples.y)
        assert torch.allclose(domain.samples.x.float(), at_once.samples.x.float(), rtol=1e-6, atol=1e-7)
    assert large.fingerprint == kept.fingerprint
    if large.samples.x.dtype == torch.uint8:
        assert large.fingerprint == at_once.fingerprint


@pytest.mark.usefixtures("low")
def test_a_plain_file_is_mapped_and_writes_stay_out_of_it(root: Path) -> None:
    before = (root / "x.npy").read_bytes()
    domain = load(READERS[0], root)
    assert mapped_arrays.is_mapped(domain.samples.x.numpy())
    domain.samples.x.zero_()
    assert (root / "x.npy").read_bytes() == before and int(load(READERS[0], root).samples.x.sum()) == int(X.sum())


@pytest.mark.usefixtures("low")
def test_statistics_over_many_rows_are_those_of_all(root: Path) -> None:
    x = RNG.normal(3, 2, (500, 7)) * np.array([1, 10, 0.1, 1, 1, 1, 0])
    for ddof in (0, 1):
        some = preparation.zscore(x, x, ddof=ddof)
        mean, std = x.mean(axis=0), x.std(axis=0, ddof=ddof)
        expected = np.where(std == 0, 0, (x - mean) / np.where(std == 0, 1, std))
        np.testing.assert_allclose(some, expected, rtol=1e-5, atol=1e-5)


def test_a_disk_that_is_too_small_is_said_before_anything_is_written(monkeypatch: pytest.MonkeyPatch, low: None) -> None:
    with pytest.raises(TlbenchError, match=r"need as much room in .*TLBENCH_CACHE names another folder"):
        mapped_arrays.empty((2**40, 2**10), np.uint8)


CHILD = """
import sys
from pathlib import Path
from tlbench import data
from tlbench.data import chunks
import torch
def resident():
    return next(int(line.split()[1]) for line in open("/proc/self/status") if line.startswith("VmHWM")) / 1024
declaration, _ = data.declare("d", {"reader": "npy", "x": "x.npy", "y": "y.npy"}, {})
before = resident()
domain = data.load(declaration, Path(sys.argv[1]), Path(sys.argv[2]))
print(len(domain.samples), resident() - before)
"""


@pytest.mark.skipif(not Path("/proc/self/status").is_file(), reason="resident memory is read from /proc, which is not here")
def test_a_large_file_is_loaded_and_kept_in_little_memory(tmp_path: Path) -> None:
    """272 MiB, of which less than 100 MiB are resident at any time; what torch takes is there before."""
    x = np.lib.format.open_memmap(tmp_path / "x.npy", mode="w+", dtype=np.uint8, shape=(17 * 2**12, 1, 64, 64))
    x[::1000] = 7
    x.flush()
    np.save(tmp_path / "y.npy", np.arange(len(x)) % 2)
    command = [sys.executable, "-c", CHILD, str(tmp_path), str(tmp_path / "cache")]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, done.stderr
    rows, more = done.stdout.split()
    assert int(rows) == 17 * 2**12 and float(more) < 100


# --- rows that two parts share ---


@given(
    rows=st.lists(st.integers(0, 5), min_size=1, max_size=20),
    others=st.lists(st.integers(0, 5), min_size=1, max_size=20),
    width=st.sampled_from([1, 3, 64, 65, 500]),
    dtype=st.sampled_from([torch.uint8, torch.float32]),
)
@settings(deadline=None, max_examples=30)
def test_shared_rows_are_counted(rows: list[int], others: list[int], width: int, dtype: torch.dtype) -> None:
    def made(numbers: list[int]) -> torch.Tensor:
        x = torch.arange(width).repeat(len(numbers), 1) % 7
        x[:, width // 2] = torch.tensor(numbers)  # rows that agree in all but one number
        return x.to(dtype)

    assert data.count_duplicates(made(rows), made(others)) == sum(row in others for row in rows)


def test_zeros_of_either_sign_are_one_and_other_shapes_are_none() -> None:
    a = torch.tensor([[0.0, 1.0], [2.0, 3.0]])
    assert data.count_duplicates(a, torch.tensor([[-0.0, 1.0]])) == 1
    assert (
        data.count_duplicates(a, a[:, :1]) == 0
        and data.count_duplicates(a, a.double()) == 0
        and data.count_duplicates(a[:0], a) == 0
    )
    images = torch.from_numpy(X)
    assert data.count_duplicates(images[:50], images[25:]) == 25
