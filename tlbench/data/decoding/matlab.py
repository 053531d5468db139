"""Variables of MATLAB files of versions 5 to 7, and of 7.3: arrays, sparse matrices, fields of structs, texts, cell arrays."""

from __future__ import annotations

import io
import math
import struct
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from tlbench.data.decoding import files, hdf5
from tlbench.errors import TlbenchError, did_you_mean

HEADER_BYTES = 128
MATRIX, COMPRESSED = 14, 15
TYPES = frozenset({1, 2, 3, 4, 5, 6, 7, 9, 12, 13, 16, 17, 18, MATRIX})
"""Types of elements. The MathWorks, MAT-File Format, table 1-1."""
LEAST_ELEMENTS = {4: 4, 5: 6, **dict.fromkeys(range(6, 16), 4)}
"""Class of an array (text, sparse, numbers) -> its number of elements (flags, sizes, name, contents); complex: one more."""
OF_ELEMENTS = {1, 2, 3}
"""Classes of arrays of which each item is an element of its own, of 8 bytes at least: cells, structs, objects."""
COMPLEX = 0x0800
"""The flag of a complex array."""
DEFLATE_RATIO = 1032
"""The largest compression ratio of deflate: 258 bytes by two bits. https://www.rfc-editor.org/rfc/rfc1951"""
CHUNK_BYTES = 2**20


def is_hdf5(path: Path) -> bool:
    """Whether a MATLAB file is of version 7.3, which is HDF5."""
    with files.guarded_reading(path, "MATLAB"), path.open("rb") as stream:
        return b"MATLAB 7.3" in stream.read(HEADER_BYTES)


def variables(path: Path, names: Sequence[str]) -> list[Any]:
    """Some variables of a file, with their axes in MATLAB's order; of version 7.3, cell arrays hold texts or single numbers.

    Args:
        path: the file.
        names: the names of the variables; `data.x` is the field x of the struct data.

    Raises:
        TlbenchError: there is no such variable or field, it is a struct or an object, or the file is damaged.
    """
    if is_hdf5(path):
        return hdf5.arrays_of(path, [name.replace(".", "/") for name in names], matlab=True)
    from scipy.io import loadmat, whosmat

    with files.guarded_reading(path, "MATLAB"):
        content = path.read_bytes()
        order = {b"IM": "<", b"MI": ">"}.get(content[HEADER_BYTES - 2 : HEADER_BYTES])
        if order is None:
            raise TlbenchError(
                f"{path}: This is not a whole MATLAB file of versions 5 to 7; its header is not that of one, or is truncated."
            )
        _check_elements(memoryview(content)[HEADER_BYTES:], order, outermost=True)
        _check_unpacked_size(path, memoryview(content)[HEADER_BYTES:], order)
        shapes = {name: shape for name, shape, _ in whosmat(io.BytesIO(content))}
        stems = list(dict.fromkeys(name.partition(".")[0] for name in names))
        for stem in stems:
            if stem not in shapes:
                raise TlbenchError(f"{path}: There is no variable {stem!r}. {did_you_mean(stem, shapes)}")
        loaded = loadmat(io.BytesIO(content), variable_names=stems)
        return [_field(loaded.get(name.partition(".")[0]), name, path) for name in names]


def names_of(path: Path) -> list[str]:
    """The names of the variables of a file, without those of fields."""
    if is_hdf5(path):
        return list(dict.fromkeys(name.partition("/")[0] for name in hdf5.names_of(path)))
    from scipy.io import whosmat

    with files.guarded_reading(path, "MATLAB"):
        return [name for name, _, _ in whosmat(path)]


def _field(value: Any, name: str, path: Path) -> Any:
    """The variable, or the field of a struct that `name` stands for."""
    stem, *fields = name.split(".")
    for field in fields:
        known = _struct_fields(value)
        if not known:
            raise TlbenchError(f"{path}: The variable {stem!r} is no struct, so {name!r} names nothing in it.")
        if value.size != 1:
            raise TlbenchError(
                f"{path}: {stem!r} is an array of {value.size} structs; fields are read of a single struct only."
            )
        if field not in known:
            raise TlbenchError(f"{path}: There is no field {field!r} in {stem!r}. {did_you_mean(field, known)}")
        value, stem = value.reshape(-1)[0][field], f"{stem}.{field}"
    if known := _struct_fields(value):
        raise TlbenchError(
            f"{path}: {name!r} is a struct with the fields {', '.join(known)}. Name a field, as in '{name}.{known[0]}'."
        )
    if not isinstance(value, np.ndarray) and not hasattr(value, "tocsc"):
        raise TlbenchError(
            f"{path}: {name!r} is an object of MATLAB (a table, a string array, a categorical array or the like). "
            "Save plain arrays: numbers, or a cell array of texts (cellstr)."
        )
    if hasattr(value, "check_format"):
        value.check_format(full_check=True)  # the indices of a damaged sparse matrix may point anywhere
    return value


def _struct_fields(value: Any) -> list[str]:
    """The names of the fields of a struct array; [] for anything else."""
    from scipy.io.matlab import MatlabOpaque

    is_struct = isinstance(value, np.ndarray) and value.dtype.names and not isinstance(value, MatlabOpaque)
    return list(value.dtype.names) if is_struct else []


def plain_labels(y: Any) -> Any:
    """Labels as a plain dense array; a cell array of texts becomes an array (N,) of objects."""
    if hasattr(y, "toarray"):
        return y.toarray()
    if y.dtype != object:
        return y
    cells = [cell.item() if isinstance(cell, np.ndarray) and cell.size == 1 else cell for cell in y.reshape(-1)]
    return np.array([*cells, None], dtype=object)[:-1]  # the None keeps cells of equal length from becoming an axis


def samples_last_to_first(x: Any) -> Any:
    """An array whose last axis counts the samples -> (N, ...) with the other axes in order.

    Four axes are a stack of images as MATLAB has them, (height, width, channels, N) -> (N, channels, height, width).
    """
    if x.ndim <= 2:
        return x.T
    x = np.moveaxis(x, -1, 0)
    return x.transpose(0, 3, 1, 2) if x.ndim == 4 else x


def _check_elements(elements: memoryview, order: str, outermost: bool = False) -> list[int]:
    """Check that each element has an existing type and a size within its parent, and each array the elements that it needs.

    scipy looks types up in a table without checking that they are in it, so a damaged byte would end the process. Compressed
    elements are protected by their own checksum.

    Args:
        elements: the bytes of the elements.
        order: the byte order, "<" or ">".
        outermost: whether these are the elements of the file, which may be compressed.

    Returns:
        The types of the elements.

    Raises:
        ValueError: an element is damaged.
    """
    types = []
    while len(elements):
        type_code, size = struct.unpack(f"{order}II", elements[:8])
        if type_code >> 16:  # a small element: type and size share four bytes, and the content has the other four
            type_code, size, begin, step = type_code & 0xFFFF, type_code >> 16, 4, 8
        else:
            begin, step = 8, 8 + (size if type_code == COMPRESSED else -(-size // 8) * 8)
        if begin + size > (8 if begin == 4 else len(elements)):
            raise ValueError("an element is longer than its parent")
        if type_code not in TYPES and not (outermost and type_code == COMPRESSED):
            raise ValueError(f"an element has the type {type_code}, which does not exist")
        if type_code == MATRIX and size:
            inside = elements[begin : begin + size]
            within = _check_elements(inside, order)
            flags = int(struct.unpack(f"{order}I", inside[8:12])[0])
            least = LEAST_ELEMENTS.get(flags & 0xFF, 0) + bool(flags & COMPLEX)
            if flags & 0xFF in LEAST_ELEMENTS and (len(within) < least or MATRIX in within):
                raise ValueError("an array lacks an element")
            if flags & 0xFF in OF_ELEMENTS and _count(inside, order) > max(1, size // 8):
                raise ValueError("an array of cells or structs has more of them than the bytes that they take")
        types.append(type_code)
        elements = elements[step:]
    return types


def _count(array: memoryview, order: str) -> int:
    """The number of items of an array, from the element of its sizes, which follows that of its flags."""
    type_code, size = struct.unpack(f"{order}II", array[16:24])
    small = type_code >> 16
    sizes = array[20 : 20 + small] if small else array[24 : 24 + size]
    return math.prod(struct.unpack(f"{order}{len(sizes) // 4}i", sizes[: len(sizes) // 4 * 4]))


def _check_unpacked_size(path: Path, elements: memoryview, order: str) -> None:
    """Refuse a file whose compressed variables unpack to the size of a decompression bomb; only one chunk is in memory."""
    packed = len(elements)
    if packed * DEFLATE_RATIO <= files.BOMB_BYTES:
        return
    unpacked = 0
    while len(elements):
        type_code, size = struct.unpack(f"{order}II", elements[:8])
        if type_code == COMPRESSED:
            stream, rest = zlib.decompressobj(), bytes(elements[8 : 8 + size])
            while rest and not stream.eof:
                unpacked += len(stream.decompress(rest, CHUNK_BYTES))
                rest = stream.unconsumed_tail
                files.check_unpacked_size(path, unpacked, packed)
        elements = elements[8 + (size if type_code == COMPRESSED else -(-size // 8) * 8) :]
