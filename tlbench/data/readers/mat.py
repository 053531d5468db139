"""MATLAB files (.mat) of versions 5 to 7, and of 7.3 (extra `hdf5`): one variable of rows, one of labels.

Where the variables are cell arrays with one task a cell, `cells` names the tasks that make up the domain, counted from 1 as
MATLAB does; the number of its cell is then the group of each row.
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

HEAD = 128
MATRIX, COMPRESSED = 14, 15
TYPES = frozenset({1, 2, 3, 4, 5, 6, 7, 9, 12, 13, 16, 17, 18, MATRIX})
"""Types of elements. MAT-File Format, The MathWorks, table 1-1."""
NEEDED = {4: 4, 5: 6, **dict.fromkeys(range(6, 16), 4)}
"""Class of an array (text, sparse, numbers) -> how many elements it has (flags, sizes, name, contents); complex: one more."""
COMPLEX = 0x0800
DEFLATE_RATIO = 1032
"""Deflate makes nothing smaller than this. RFC 1951: 258 bytes by two bits."""
PIECE_BYTES = 2**20


class Options(Strict, strict=True):
    """Where the variables are, and which way round the rows lie."""

    path: Annotated[str, Field(description="the .mat file, relative to the data root")]
    x: Annotated[str, Field(description="the variable of the rows")]
    y: Annotated[npz.Keys, Field(description="the variable of the labels, or a list of variables of targets")]
    columns: Annotated[bool, Field(description="whether each row is stored as a column")] = False
    cells: Annotated[list[Annotated[int, Field(ge=1)]], Field(min_length=1, description="the cells to read, from 1")] | None = (
        None
    )


def read(options: Options, root: Path) -> ReaderResult:
    """The variables, rows as rows.

    Raises:
        TlbenchError: no such file or variable, or not a whole MATLAB file of versions 5 to 7.
    """
    from scipy.io import loadmat, whosmat

    path = files.find(root, options.path)
    keys = [options.x, *options.y]
    with files.guarded_reading(path, "MATLAB"):
        held = path.read_bytes()
        if b"MATLAB 7.3" in held[:HEAD]:
            if options.cells is not None:
                raise TlbenchError(f"{path}: cells of MATLAB 7.3 files are not read; save it with -v7")
            x, *ys = hdf5.arrays_of(path, keys, matlab=True)
            return _turned(x, npz.together(ys, options.y), path, options)
        order = {b"IM": "<", b"MI": ">"}.get(held[HEAD - 2 : HEAD])
        if order is None:
            raise TlbenchError(f"{path}: not a MATLAB file of versions 5 to 7 (its head is not that of one), or truncated")
        _sound(memoryview(held)[HEAD:], order, outermost=True)
        _unpackable(path, memoryview(held)[HEAD:], order)
        there = {name: shape for name, shape, _ in whosmat(io.BytesIO(held))}
        for name in keys:
            if name not in there:
                raise TlbenchError(f"{path}: There is no variable {name!r}. {did_you_mean(name, there)}")
        variables = loadmat(io.BytesIO(held), variable_names=keys)
        if options.cells is not None:
            return _joined([variables[name] for name in keys], path, options)
        x, ys = variables[options.x], [_plain(variables[name]) for name in options.y]
        if hasattr(x, "check_format"):
            x.check_format(full_check=True)  # of a sparse matrix: its indices may point anywhere
        if x.dtype == object:
            raise TlbenchError(
                f"{path}: {options.x} is a cell array of {x.size}: rows of mixed shapes, or tasks; cells = [1, 2] names tasks"
            )
    return _turned(x, npz.together(ys, options.y), path, options)


def _plain(y: Any) -> Any:
    if y.dtype != object:
        return y
    cells = [cell.item() if isinstance(cell, np.ndarray) and cell.size == 1 else cell for cell in y.reshape(-1)]
    return np.array([*cells, None], dtype=object)[:-1]  # one axis, whatever the cells are: texts


def _joined(arrays: list[Any], path: Path, options: Options) -> ReaderResult:
    """The rows of some cells, one cell after the other."""
    names, wanted = [options.x, *options.y], options.cells or []
    for name, array in zip(names, arrays, strict=True):
        if array.dtype != object:
            raise TlbenchError(f"{path}: {name} is {array.shape} numbers, no cell array; leave cells out")
        if (most := max(wanted)) > array.size:
            raise TlbenchError(f"{path}: {name} has {array.size} cells, and cells names {most}")
    parts = []
    for number in wanted:
        x, *ys = (array.reshape(-1)[number - 1] for array in arrays)
        table = _turned(x, npz.together(ys, options.y), path, options)
        if table.x.ndim != 2 or len(table.x) != len(table.y):
            raise TlbenchError(f"{path}: cell {number} holds {table.x.shape} rows and {table.y.shape} labels")
        parts.append((table.x, table.y.reshape(len(table.x), -1)))
    if len({x.shape[1] for x, _ in parts}) > 1:
        raise TlbenchError(
            f"{path}: the cells have rows of {sorted({x.shape[1] for x, _ in parts})} features; all need as many"
        )
    group = np.repeat(wanted, [len(x) for x, _ in parts])
    x, y = (np.concatenate([part[i] for part in parts]) for i in (0, 1))
    return ReaderResult(x, y, group, targets=tuple(options.y) if y.shape[1] == len(options.y) else ())


def _turned(x: Any, y: Any, path: Path, options: Options) -> ReaderResult:
    """Rows as rows."""
    if options.columns:
        x = x.T
    elif x.ndim == 2 and x.shape[0] != len(y.reshape(-1)) == x.shape[1]:
        raise TlbenchError(f"{path}: {options.x} is {x.shape} for {y.size} labels; set columns = true")
    held = tuple(options.y) if len(options.y) > 1 or 1 in y.shape or y.ndim == 1 else ()
    return ReaderResult(x, y, targets=held)


def _sound(elements: memoryview, order: str, outermost: bool = False) -> list[int]:
    """Hold each element to a type that exists and a size within its parent, and an array to the elements that it needs.

    scipy looks types up in a table without asking whether they are in it: a damaged byte would end the process. What is
    compressed is held by its own checksum. The types of the elements are returned.
    """
    kinds = []
    while len(elements):
        kind, size = struct.unpack(f"{order}II", elements[:8])
        if kind >> 16:  # a small element: type and size share four bytes, the content is in the other four
            kind, size, begin, step = kind & 0xFFFF, kind >> 16, 4, 8
        else:
            begin, step = 8, 8 + (size if kind == COMPRESSED else -(-size // 8) * 8)
        if begin + size > (8 if begin == 4 else len(elements)):
            raise ValueError("an element is longer than what holds it")
        if kind not in TYPES and not (outermost and kind == COMPRESSED):
            raise ValueError(f"an element has the type {kind}, which does not exist")
        if kind == MATRIX and size:
            inside = elements[begin : begin + size]
            within = _sound(inside, order)
            flags = int(struct.unpack(f"{order}I", inside[8:12])[0])
            needed = NEEDED.get(flags & 0xFF, 0) + bool(flags & COMPLEX)
            if flags & 0xFF in NEEDED and (len(within) < needed or MATRIX in within):
                raise ValueError("an array lacks a part")
        kinds.append(kind)
        elements = elements[step:]
    return kinds


def _unpackable(path: Path, elements: memoryview, order: str) -> None:
    """Hold what the compressed variables become to a size that the file can honestly have; no more than a piece is kept."""
    packed = len(elements)
    if packed * DEFLATE_RATIO <= files.BOMB_BYTES:
        return
    unpacked = 0
    while len(elements):
        kind, size = struct.unpack(f"{order}II", elements[:8])
        if kind == COMPRESSED:
            stream, rest = zlib.decompressobj(), bytes(elements[8 : 8 + size])
            while rest and not stream.eof:
                unpacked += len(stream.decompress(rest, PIECE_BYTES))
                rest = stream.unconsumed_tail
                files.check_unpacked_size(path, unpacked, packed)
        elements = elements[8 + (size if kind == COMPRESSED else -(-size // 8) * 8) :]
