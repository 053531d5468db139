"""MATLAB files (.mat) of versions 5 to 7, and of 7.3 (extra `hdf5`): a variable of samples and a variable of labels.

Where the variables are cell arrays with one task per cell, `cells` names the tasks of the domain, counted from 1 as in MATLAB;
the group of a sample is then the number of its cell.
"""

from __future__ import annotations

import io
import struct
import zlib
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from pydantic import Field

from tlbench.data.decoding import files, hdf5
from tlbench.data.decoding.arrays import ReaderResult
from tlbench.data.readers import npz
from tlbench.errors import TlbenchError, did_you_mean
from tlbench.terms import Strict

HEADER_BYTES = 128
MATRIX, COMPRESSED = 14, 15
TYPES = frozenset({1, 2, 3, 4, 5, 6, 7, 9, 12, 13, 16, 17, 18, MATRIX})
"""Types of elements. The MathWorks, MAT-File Format, table 1-1."""
LEAST_ELEMENTS = {4: 4, 5: 6, **dict.fromkeys(range(6, 16), 4)}
"""Class of an array (text, sparse, numbers) -> its number of elements (flags, sizes, name, contents); complex: one more."""
COMPLEX = 0x0800
"""The flag of a complex array."""
DEFLATE_RATIO = 1032
"""The largest compression ratio of deflate: 258 bytes by two bits. https://www.rfc-editor.org/rfc/rfc1951"""
CHUNK_BYTES = 2**20


class Options(Strict, strict=True):
    """The file, its variables, and the orientation of the samples."""

    path: Annotated[str, Field(description="the .mat file, relative to the data root")]
    x: Annotated[str, Field(description="the variable of the samples")]
    y: Annotated[npz.Keys, Field(description="the variable of the labels, or a list of variables of targets")]
    columns: Annotated[bool, Field(description="whether each sample is stored as a column")] = False
    cells: Annotated[list[Annotated[int, Field(ge=1)]], Field(min_length=1, description="the cells to read, from 1")] | None = (
        None
    )


def read(options: Options, root: Path) -> ReaderResult:
    """The variables, as samples (N, ...) and labels (N,).

    Raises:
        TlbenchError: a file or variable that is not there, or a damaged file.
    """
    from scipy.io import loadmat, whosmat

    path = files.find(root, options.path)
    keys = [options.x, *options.y]
    with files.guarded_reading(path, "MATLAB"):
        content = path.read_bytes()
        if b"MATLAB 7.3" in content[:HEADER_BYTES]:
            if options.cells is not None:
                raise TlbenchError(f"{path}: Cells of MATLAB 7.3 files can't be read. Save the file with -v7.")
            x, *ys = hdf5.arrays_of(path, keys, matlab=True)
            return _samples_first(x, npz.stack_targets(ys, options.y), path, options)
        order = {b"IM": "<", b"MI": ">"}.get(content[HEADER_BYTES - 2 : HEADER_BYTES])
        if order is None:
            raise TlbenchError(
                f"{path}: This is not a whole MATLAB file of versions 5 to 7; its header is not that of one, or is truncated."
            )
        _check_elements(memoryview(content)[HEADER_BYTES:], order, outermost=True)
        _check_unpacked_size(path, memoryview(content)[HEADER_BYTES:], order)
        shapes = {name: shape for name, shape, _ in whosmat(io.BytesIO(content))}
        for name in keys:
            if name not in shapes:
                raise TlbenchError(f"{path}: There is no variable {name!r}. {did_you_mean(name, shapes)}")
        variables = loadmat(io.BytesIO(content), variable_names=keys)
        if options.cells is not None:
            return _read_cells([variables[name] for name in keys], path, options)
        x, ys = variables[options.x], [_plain_labels(variables[name]) for name in options.y]
        if hasattr(x, "check_format"):
            x.check_format(full_check=True)  # the indices of a damaged sparse matrix may point anywhere
        if x.dtype == object:
            raise TlbenchError(
                f"{path}: The variable {options.x!r} is a cell array of {x.size} cells: samples of mixed shapes, or tasks. "
                "Name tasks as in cells = [1, 2]."
            )
    return _samples_first(x, npz.stack_targets(ys, options.y), path, options)


def _plain_labels(y: Any) -> Any:
    """Labels as a plain array; a cell array of texts becomes an array (N,) of objects."""
    if y.dtype != object:
        return y
    cells = [cell.item() if isinstance(cell, np.ndarray) and cell.size == 1 else cell for cell in y.reshape(-1)]
    return np.array([*cells, None], dtype=object)[:-1]  # the None keeps cells of equal length from becoming an axis


def _read_cells(arrays: list[Any], path: Path, options: Options) -> ReaderResult:
    """The samples of some cells, one cell after the other."""
    names, numbers = [options.x, *options.y], options.cells or []
    for name, array in zip(names, arrays, strict=True):
        if array.dtype != object:
            raise TlbenchError(f"{path}: The variable {name!r} is no cell array, but numbers {array.shape}. Leave cells out.")
        if (most := max(numbers)) > array.size:
            raise TlbenchError(f"{path}: The variable {name!r} has {array.size} cells, and cells names {most}.")
    pieces = []
    for number in numbers:
        x, *ys = (array.reshape(-1)[number - 1] for array in arrays)
        piece = _samples_first(x, npz.stack_targets(ys, options.y), path, options)
        if piece.x.ndim != 2 or len(piece.x) != len(piece.y):
            raise TlbenchError(
                f"{path}: Cell {number} holds samples {piece.x.shape} and labels {piece.y.shape}. Each sample needs one label."
            )
        pieces.append((piece.x, piece.y.reshape(len(piece.x), -1)))
    if len(widths := {x.shape[1] for x, _ in pieces}) > 1:
        raise TlbenchError(f"{path}: The samples of the cells have {sorted(widths)} features. All need the same number.")
    group = np.repeat(numbers, [len(x) for x, _ in pieces])
    x, y = (np.concatenate([piece[i] for piece in pieces]) for i in (0, 1))
    return ReaderResult(x, y, group, targets=tuple(options.y) if y.shape[1] == len(options.y) else ())


def _samples_first(x: Any, y: Any, path: Path, options: Options) -> ReaderResult:
    """The samples along the first axis.

    Raises:
        TlbenchError: the samples lie along the second axis, and `columns` is not set.
    """
    if options.columns:
        x = x.T
    elif x.ndim == 2 and x.shape[0] != len(y.reshape(-1)) == x.shape[1]:
        raise TlbenchError(f"{path}: The variable {options.x!r} is {x.shape} for {y.size} labels. Set columns = true.")
    targets = tuple(options.y) if len(options.y) > 1 or 1 in y.shape or y.ndim == 1 else ()
    return ReaderResult(x, y, targets=targets)


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
        types.append(type_code)
        elements = elements[step:]
    return types


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
