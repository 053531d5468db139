"""MATLAB files (.mat) of versions 5 to 7, and of 7.3 (extra `hdf5`): a variable of samples and a variable of labels.

A field of a struct is named as in x = "data.features". Where the variables are cell arrays with one task per cell, `cells`
names the tasks of the domain, counted from 1 as in MATLAB; the group of a sample is then the number of its cell.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any, Self

import numpy as np
from pydantic import Field, model_validator

from tlbench.data.decoding import array_files, axes, files, matlab
from tlbench.data.decoding.array_files import ArrayNames, Piece
from tlbench.data.decoding.arrays import ReaderResult
from tlbench.errors import TlbenchError

PATH_KEYS = array_files.PATH_KEYS
LIBRARIES = ("scipy", "h5py")


class Options(array_files.ArrayOptions, strict=True):
    """The variables, and the orientation of the samples; see `ArrayOptions`."""

    columns: Annotated[
        bool, Field(description="whether samples are the last axis: columns of a matrix, images (height, width, channels, N)")
    ] = False
    cells: Annotated[list[Annotated[int, Field(ge=1)]], Field(min_length=1, description="the cells to read, from 1")] | None = (
        None
    )

    @model_validator(mode="after")
    def _one_orientation(self) -> Self:
        if self.columns and self.axes is not None:
            raise ValueError("columns and axes both tell where the samples are. Leave columns out.")
        if self.cells is not None and (self.y is None or self.group is not None or self.where or self.axes):
            raise ValueError("cells need y, and take neither group, where nor axes: the group is the number of the cell.")
        return self


def read(options: Options, root: Path) -> ReaderResult:
    """The variables, as samples (N, ...) and labels (N,).

    Raises:
        TlbenchError: a file or variable that is not there, or a damaged file.
    """
    if options.cells is None:
        return array_files.read_pieces(
            options, root, lambda path, names, label: _read_piece(options, path, names, label), matlab.names_of
        )
    pieces = []
    for name in options.path or []:
        path = files.find(root, name)
        if matlab.is_hdf5(path):
            raise TlbenchError(f"{path}: Cells of MATLAB 7.3 files can't be read. Save the file with -v7.")
        arrays = matlab.variables(path, [str(options.x), *options.targets])
        pieces.append((name, _read_cells(arrays, path, options)))
    result = array_files.select_samples(array_files.joined(pieces), options.targets, "cells", {})
    cells = f"samples {options.x}, {array_files.described(result.x)}; labels {', '.join(options.targets)}"
    return replace(result, reading=(f"{cells}; cells {', '.join(map(str, options.cells))}, which are the groups",))


def _read_piece(options: Options, path: Path, names: ArrayNames, label: str | None) -> Piece:
    """The samples of a variable, with their labels or with the class of all of them."""
    with files.guarded_reading(path, "MATLAB"):
        x, *others = matlab.variables(path, [names.x, *names.y, *names.columns])
        plain = [matlab.plain_labels(array) for array in others]
        y = None if label is not None else array_files.stack_targets(plain[: len(names.y)], names.y)
        if x.dtype == object:
            x = _stacked_cells(x, others[: len(names.y)], names.x, path)
            notes: tuple[str, ...] = ()
        else:
            x, notes = _samples_first(x, y, names.x, path, options)
    columns = tuple(column.reshape(-1) for column in plain[len(names.y) :])
    return Piece(x, array_files.constant_labels(x, str(label)) if y is None else y, columns, notes)


def _samples_first(x: Any, y: Any, name: str, path: Path, options: Options) -> tuple[Any, tuple[str, ...]]:
    """The samples along the first axis, and a note where the order of the other axes is doubtful.

    Raises:
        TlbenchError: the samples lie along the last axis, and neither `columns` nor `axes` is set.
    """
    if options.columns:
        return matlab.samples_last_to_first(x), ()
    if options.axes is None and y is not None and x.ndim >= 2 and x.shape[0] != np.size(y) == x.shape[-1]:
        raise TlbenchError(f"{path}: The variable {name!r} is {x.shape} for {np.size(y)} labels. Set columns = true.")
    return axes.oriented(x, options.axes, name)


def _stacked_cells(x: Any, ys: Sequence[Any], name: str, path: Path) -> Any:
    """A cell array with one sample per cell, as (N, ...); a cell (1, D) or (D, 1) is a vector.

    Raises:
        TlbenchError: the cells hold something else.
    """
    cells = x.reshape(-1)
    where = f"{path}: The variable {name!r} is a cell array of {x.size} cells"
    if ys and all(_are_tasks(y, x.size) for y in ys):
        raise TlbenchError(f"{where}, and so are the labels: tasks. Name those to read, as in cells = [1, 2].")
    shapes = {getattr(cell, "shape", None) for cell in cells}
    if len(shapes) != 1 or not all(isinstance(cell, np.ndarray) and cell.dtype.kind in "biuf" for cell in cells):
        raise TlbenchError(
            f"{where}: samples of mixed shapes, or no numbers. Cells must be samples of one shape, or tasks, each with its "
            "own labels: a cell array of labels, of which cells = [1, 2] names the tasks to read."
        )
    stacked = np.stack(list(cells))
    if stacked.ndim == 3 and 1 in stacked.shape[1:]:
        return stacked.reshape(len(cells), -1)
    return stacked.transpose(0, 3, 1, 2) if stacked.ndim == 4 else stacked


def _are_tasks(y: Any, count: int) -> bool:
    """Whether labels are a cell array with an array of numbers in each of `count` cells."""
    if y.dtype != object or y.size != count:
        return False
    return all(getattr(cell, "dtype", np.dtype(str)).kind in "biuf" for cell in y.flat) and any(np.size(c) != 1 for c in y.flat)


def _read_cells(arrays: Sequence[Any], path: Path, options: Options) -> Piece:
    """The samples of some cells, one cell after the other; a label that is a single number or text holds for its whole cell."""
    names, numbers = [str(options.x), *options.targets], options.cells or []
    cell_arrays = [array.reshape(-1) if array.dtype == object else array for array in arrays]
    for i, (name, array) in enumerate(zip(names, cell_arrays, strict=True)):
        if array.dtype != object and i == 0:
            raise TlbenchError(f"{path}: The variable {name!r} is no cell array, but numbers {array.shape}. Leave cells out.")
        if array.dtype != object:
            cell_arrays[i] = array = _labels_of_cells(array, name, len(cell_arrays[0]), path)
        if (most := max(numbers)) > len(array):
            raise TlbenchError(f"{path}: The variable {name!r} has {len(array)} cells, and cells names {most}.")
    pieces = []
    for number in numbers:
        x, *ys = (array[number - 1] for array in cell_arrays)
        if options.columns:
            x = matlab.samples_last_to_first(x)
        count = x.shape[0] if x.ndim == 2 else 0
        ys = [np.repeat(y, count) if np.size(y) == 1 else matlab.plain_labels(y) for y in ys]
        y = array_files.stack_targets(ys, options.targets)
        if not options.columns and x.ndim == 2 and count != np.size(y) == x.shape[1]:
            raise TlbenchError(f"{path}: Cell {number} holds samples {x.shape} for {np.size(y)} labels. Set columns = true.")
        if x.ndim != 2 or count not in (len(y), np.size(y)):
            raise TlbenchError(
                f"{path}: Cell {number} holds samples {x.shape} and labels {y.shape}. Each sample needs one label."
            )
        pieces.append((x, y.reshape(count, -1)))
    if len(widths := {x.shape[1] for x, _ in pieces}) > 1:
        raise TlbenchError(f"{path}: The samples of the cells have {sorted(widths)} features. All need the same number.")
    group = np.repeat(numbers, [len(x) for x, _ in pieces])
    x, y = (np.concatenate([piece[i] for piece in pieces]) for i in (0, 1))
    return Piece(x, y, (group,))


def _labels_of_cells(y: Any, name: str, count: int, path: Path) -> Any:
    """Numbers (or texts), one for each of `count` cells of samples, as cells."""
    y = matlab.plain_labels(y)
    if y.size != count:
        raise TlbenchError(
            f"{path}: The variable {name!r} has {y.size} labels {y.shape}, and the samples {count} cells. Store the labels as "
            "a cell array with the labels of one task per cell, or as one label per cell."
        )
    cells = np.empty(count, dtype=object)
    cells[:] = list(y.reshape(-1))
    return cells
