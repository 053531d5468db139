"""MATLAB files (.mat) of versions 5 to 7, and of 7.3 (extra `hdf5`): one variable of rows, one of labels."""

from __future__ import annotations

import io
import struct
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from pydantic import Field

from tlbench.data import files, hdf5
from tlbench.data.mistakes import way_out
from tlbench.terms import Strict, TlbenchError

HEAD = 128
MATRIX, COMPRESSED = 14, 15
TYPES = frozenset({1, 2, 3, 4, 5, 6, 7, 9, 12, 13, 16, 17, 18, MATRIX})
"""Types of elements. MAT-File Format, The MathWorks, table 1-1."""
NEEDED = {4: 4, 5: 6, **dict.fromkeys(range(6, 16), 4)}
"""Class of an array (text, sparse, numbers) -> how many elements it has (flags, sizes, name, contents); complex: one more."""
COMPLEX = 0x0800


class Options(Strict, strict=True):
    """Where the variables are, and which way round the rows lie."""

    path: Annotated[str, Field(description="the .mat file, relative to the data root")]
    x: Annotated[str, Field(description="the variable of the rows")]
    y: Annotated[str, Field(description="the variable of the labels")]
    columns: Annotated[bool, Field(description="whether each row is stored as a column")] = False


def read(options: Options, root: Path) -> tuple[Any, Any]:
    """The two variables, rows as rows.

    Raises:
        TlbenchError: no such file or variable, or not a whole MATLAB file of versions 5 to 7.
    """
    from scipy.io import loadmat, whosmat

    path = files.find(root, options.path)
    with files.reading(path, "MATLAB"):
        held = path.read_bytes()
        if b"MATLAB 7.3" in held[:HEAD]:
            x, y = hdf5.arrays_of(path, [options.x, options.y], matlab=True)
            return _turned(x, y, path, options)
        order = {b"IM": "<", b"MI": ">"}.get(held[HEAD - 2 : HEAD])
        if order is None:
            raise TlbenchError(f"{path}: not a MATLAB file of versions 5 to 7 (its head is not that of one), or truncated")
        _sound(memoryview(held)[HEAD:], order, outermost=True)
        there = {name: shape for name, shape, _ in whosmat(io.BytesIO(held))}
        for name in (options.x, options.y):
            if name not in there:
                raise TlbenchError(f"{path}: no variable {name!r}; {way_out(name, there)}")
        variables = loadmat(io.BytesIO(held), variable_names=[options.x, options.y])
        x, y = variables[options.x], variables[options.y]
        if hasattr(x, "check_format"):
            x.check_format(full_check=True)  # of a sparse matrix: its indices may point anywhere
    if y.dtype == object:  # a cell array of texts
        cells = [cell.item() if isinstance(cell, np.ndarray) and cell.size == 1 else cell for cell in y.reshape(-1)]
        y = np.array([*cells, None], dtype=object)[:-1]  # one axis, whatever the cells are
    return _turned(x, y, path, options)


def _turned(x: Any, y: Any, path: Path, options: Options) -> tuple[Any, Any]:
    """Rows as rows."""
    if options.columns:
        x = x.T
    elif x.ndim == 2 and x.shape[0] != y.size == x.shape[1]:
        raise TlbenchError(f"{path}: {options.x} is {x.shape} for {y.size} labels; set columns = true")
    return x, y


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
