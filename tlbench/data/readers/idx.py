"""IDX files, gzip or plain, as MNIST is kept in: one of images, one of labels.

The format is described at http://yann.lecun.com/exdb/mnist
"""

from __future__ import annotations

import math
import struct
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from pydantic import Field

from tlbench.data.decoding import files, mapped_arrays
from tlbench.data.decoding.arrays import Array
from tlbench.errors import TlbenchError
from tlbench.terms import Strict

TYPES = {0x08: ">u1", 0x09: ">i1", 0x0B: ">i2", 0x0C: ">i4", 0x0D: ">f4", 0x0E: ">f8"}

AXES = 8
"""More than any data have."""


class Options(Strict, strict=True):
    """Where the two files are."""

    images: Annotated[str, Field(description="the IDX file of images, relative to the data root")]
    labels: Annotated[str, Field(description="the IDX file of labels, relative to the data root")]


def read(options: Options, root: Path) -> tuple[Any, Any]:
    """Images (N, 1, height, width) and labels (N,).

    Raises:
        TlbenchError: a file that is missing, truncated, or not IDX.
    """
    x, y = (_array(files.find(root, path)) for path in (options.images, options.labels))
    return (x[:, None] if x.ndim == 3 else x), y


def _array(path: Path) -> Array:
    with files.guarded_reading(path, "IDX"), files.open_unzipped(path) as stream:
        zero, kind, axes = struct.unpack(">HBB", stream.read(4))
        if zero != 0 or kind not in TYPES or not 0 < axes <= AXES:
            raise TlbenchError(f"{path}: not an IDX file (its first bytes are not those of one)")
        shape = struct.unpack(f">{axes}I", stream.read(4 * axes))
        size = math.prod(shape) * np.dtype(TYPES[kind]).itemsize
        head = 4 + 4 * axes
        if size > mapped_arrays.MAPPED_BYTES and path.stat().st_size == head + size:  # plain, not gzip
            return np.memmap(path, TYPES[kind], "c", head, shape)
        held = bytearray()  # grows with what is there, whatever the head promises
        while len(held) <= size and (more := stream.read(1 << 20)):
            held += more
        if len(held) != size:
            count = "more" if len(held) > size else f"only {len(held)}"
            raise TlbenchError(f"{path}: says {shape}, which is {size} bytes, and holds {count}; truncated or damaged")
    return np.frombuffer(held, dtype=TYPES[kind]).reshape(shape)
