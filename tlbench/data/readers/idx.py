"""IDX files, plain or gzip, the format of MNIST: a file of images and a file of labels.

The format is described at http://yann.lecun.com/exdb/mnist
"""

from __future__ import annotations

import math
import struct
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import numpy as np
from pydantic import Field

from tlbench.data.decoding import array_files, files, mapped_arrays
from tlbench.data.decoding.arrays import Array, ReaderResult
from tlbench.errors import TlbenchError
from tlbench.terms import Strict

TYPES = {0x08: ">u1", 0x09: ">i1", 0x0B: ">i2", 0x0C: ">i4", 0x0D: ">f4", 0x0E: ">f8"}
"""The code of an element type -> the NumPy type."""
AXES_LIMIT = 8

Paths = str | Annotated[list[str], Field(min_length=1)]
"""One file, or several whose entries come one file after the other."""

PATH_KEYS = ("images", "labels")


class Options(Strict, strict=True):
    """The two files; or several of each, whose samples come one file after the other."""

    images: Annotated[Paths, Field(description="the IDX file of images, or several, relative to the data root")]
    labels: Annotated[Paths, Field(description="the IDX file of labels, or as many as of images, relative to the data root")]


def read(options: Options, root: Path) -> ReaderResult:
    """Images (N, 1, height, width) and labels (N,).

    Raises:
        TlbenchError: a file that is not there, is truncated, or is not IDX; or files of images of several shapes.
    """
    images, labels = ([paths] if isinstance(paths, str) else paths for paths in (options.images, options.labels))
    x, y = (_joined([_array(files.find(root, path)) for path in paths], paths) for paths in (images, labels))
    x = x[:, None] if x.ndim == 3 else x
    reading = f"samples {', '.join(images)}, {array_files.described(x)}; labels {', '.join(labels)}"
    return ReaderResult(x, y, reading=(reading,))


def _joined(arrays: Sequence[Array], paths: Sequence[str]) -> Array:
    """The arrays one after the other along their first axis; a single one as it is."""
    first = arrays[0]
    for array, path in zip(arrays, paths, strict=True):
        if array.shape[1:] != first.shape[1:] or array.dtype != first.dtype:
            raise TlbenchError(
                f"{path}: Its entries are {array_files.described(array)}, and those of {paths[0]} are "
                f"{array_files.described(first)}. Files that are read as one domain need entries of one shape and type."
            )
    return first if len(arrays) == 1 else np.concatenate(arrays)


def _array(path: Path) -> Array:
    with files.guarded_reading(path, "IDX"), files.open_unzipped(path) as stream:
        zero, type_code, axes = struct.unpack(">HBB", stream.read(4))
        if zero != 0 or type_code not in TYPES or not 0 < axes <= AXES_LIMIT:
            raise TlbenchError(f"{path}: This is not an IDX file; its first bytes are not those of one.")
        shape = struct.unpack(f">{axes}I", stream.read(4 * axes))
        size = math.prod(shape) * np.dtype(TYPES[type_code]).itemsize
        header_bytes = 4 + 4 * axes
        if size > mapped_arrays.MAPPED_BYTES and path.stat().st_size == header_bytes + size:  # plain, not gzip
            return np.memmap(path, TYPES[type_code], "c", header_bytes, shape)
        content = bytearray()  # grows with the content of the file, whatever size its header declares
        while len(content) <= size and (chunk := stream.read(1 << 20)):
            content += chunk
        if len(content) != size:
            count = "more" if len(content) > size else f"only {len(content)}"
            raise TlbenchError(
                f"{path}: The file declares the shape {shape}, which is {size} bytes, and holds {count}; "
                "it is truncated or damaged."
            )
    return np.frombuffer(content, dtype=TYPES[type_code]).reshape(shape)
