"""One small file of each array format, all with the same eight samples."""

from __future__ import annotations

import gzip
import struct
from pathlib import Path
from typing import Any

import numpy as np
import scipy.io
from hypothesis import HealthCheck, settings

NPZ = {"reader": "npz", "path": "d.npz", "x": "x", "y": "y"}
MAT = {"reader": "mat", "path": "d.mat", "x": "x", "y": "y"}
SVM = {"reader": "svmlight", "path": "d.svm", "features": 5}
IDX = {"reader": "idx", "images": "images", "labels": "labels"}
IRIS = {"reader": "scikit_learn", "name": "iris"}

X = np.arange(40, dtype=np.float64).reshape(8, 5)
Y = np.array([0, 1] * 4)

quick = settings(deadline=None, max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])


def idx_bytes(array: np.ndarray[Any, Any]) -> bytes:
    """An array as the content of an IDX file."""
    code = {"u1": 0x08, "i1": 0x09, "i4": 0x0C, "f4": 0x0D}[array.dtype.str[1:]]
    head = struct.pack(">HBB", 0, code, array.ndim) + struct.pack(f">{array.ndim}I", *array.shape)
    return head + array.astype(array.dtype.newbyteorder(">")).tobytes()


def write_small_files(folder: Path) -> Path:
    """Write the files to a folder, and return it."""
    np.savez(folder / "d.npz", x=X, y=Y)
    scipy.io.savemat(folder / "d.mat", {"x": X, "y": Y[:, None]}, do_compression=True)
    scipy.io.savemat(folder / "transposed.mat", {"x": X.T, "y": Y})
    lines = [f"{label} " + " ".join(f"{i}:{v:g}" for i, v in enumerate(row)) for row, label in zip(X, Y, strict=True)]
    (folder / "d.svm").write_text("\n".join(lines) + "\n")
    (folder / "d.svm.gz").write_bytes(gzip.compress((folder / "d.svm").read_bytes()))
    (folder / "images").write_bytes(idx_bytes(X.astype(np.uint8).reshape(8, 5, 1)))
    (folder / "labels").write_bytes(gzip.compress(idx_bytes(Y.astype(np.uint8))))
    return folder


def write_npz(folder: Path, x: Any, y: Any = Y) -> dict[str, Any]:
    """Write samples to a file, and return the table of its domain."""
    np.savez(folder / "bad.npz", x=x, y=y)
    return NPZ | {"path": "bad.npz"}
