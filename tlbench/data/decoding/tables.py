"""Rows and columns of any file -> rows of numbers, labels and groups: what csv, parquet, jsonl and datasets share.

What is learned from rows (the categories of a column, what fills a gap) is learned from the source rows of each pair anew,
or once and for all from the rows that `fit` names. Scaling is no business of this file: see prepare.
"""

from __future__ import annotations

import datetime
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import numpy as np
from pydantic import BeforeValidator, Field

from tlbench.data.decoding import feature_encoders, files
from tlbench.data.decoding.arrays import Array, Table
from tlbench.data.decoding.feature_encoders import TableCells
from tlbench.data.sample_selection import Where, known, selected
from tlbench.errors import TlbenchError
from tlbench.terms import Strict

if TYPE_CHECKING:
    import pandas as pd

CELLS_LIMIT = 2**30
"""Tables of more cells are refused: as numbers they take 8 GiB."""


def _several(given: Any) -> Any:
    return [given] if isinstance(given, str) else given


def _name(given: Any) -> Any:
    return str(given) if isinstance(given, int) and not isinstance(given, bool) else given


Paths = Annotated[list[str], BeforeValidator(_several), Field(min_length=1)]
"""One path or several, relative to the data root."""
Column = Annotated[str, BeforeValidator(_name)]
"""A column by its name, or by its number from 0 where a file has no names."""
Labels = Annotated[
    list[Column], BeforeValidator(lambda given: given if isinstance(given, list) else [given]), Field(min_length=1)
]
"""The column of the labels; several are the targets of a multi-task regression."""


class Fit(Strict, strict=True):
    """The rows that categories and fillings are learned from."""

    path: Paths
    where: Where = Field(default_factory=dict)


class TableOptions(Strict, strict=True):
    """The keys that every reader of tables has."""

    path: Annotated[Paths, Field(description="the file, or a list of files, relative to the data root")]
    label: Annotated[Labels, Field(description="the column of the labels, or a list of columns of targets")]
    features: Annotated[list[Column], Field(min_length=1, description="the columns of the features")] | None = None
    """None: all columns of numbers (with encode = "onehot": all columns) but label, group and those in `where`."""
    group: Annotated[Column, Field(description="the column of the groups, for worst-group accuracy")] | None = None
    where: Annotated[Where, Field(description="rows to keep: column = value, list of values or { min, max }")] = Field(
        default_factory=dict
    )
    encode: Annotated[Literal["onehot"], Field(description="one column for each category of each text column")] | None = None
    categories: Annotated[dict[str, list[str | int]], Field(description="the categories of a column; []: those there are")] = (
        Field(default_factory=dict)
    )
    impute: Annotated[Literal["mean", "median", "most_frequent"], Field(description="what fills a missing number")] | None = (
        None
    )
    standardise: Annotated[bool, Field(description="whether numbers get mean 0 and deviation 1, learned as `fit` says")] = False
    fit: Annotated[
        Literal["source"] | Fit, Field(description="what categories and fillings are learned from: the source, or named rows")
    ] = "source"


Frame = Callable[[Path, "list[str] | None"], "pd.DataFrame"]
"""A file and the columns that are needed (None: all) -> its rows; a column that is not there may be left out."""


def read(options: TableOptions, root: Path, frame: Frame) -> Table:
    """The rows of the table(s) that `where` keeps.

    Raises:
        TlbenchError: a column that is not there, a `where` that selects nothing, values missing, texts among numbers.
    """
    everything = whole(options.path, root, frame, _needed(options, options.where))
    kept = selected(everything, options.where)
    y, group = label(kept, options.label), None if options.group is None else label(kept, [options.group], "group")
    names = _features(everything, options)
    held = tuple(options.label)
    if len(names) == 1 and _nested(everything[names[0]]):
        return Table(numbers(kept, names), y, group, targets=held)
    texts = _texts(everything, names, options)
    names = [name for name in names if name not in texts] + list(texts)
    cells = TableCells(kept[names], texts, options.categories, options.impute, options.standardise)
    if options.fit == "source" and cells.learns:
        return Table(cells, y, group, targets=held)
    learned = cells
    if isinstance(options.fit, Fit):
        found = whole(options.fit.path, root, frame, _needed(options, options.fit.where))
        for name in names:
            known(found, name)
        learned = replace(cells, frame=selected(found, options.fit.where)[names])
    return Table(cells.encoded([learned]), y, group, targets=held)


def label(frame: pd.DataFrame, names: Sequence[str], what: str = "label") -> Array:
    """One column as labels (or groups) (N,), or several as targets (N, K).

    Raises:
        TlbenchError: a column that is not there, or a label that is missing.
    """
    columns = []
    for name in names:
        known(frame, name)
        column = frame[name]
        if missing := int(column.isna().sum()):
            raise TlbenchError(f"column {name!r} lacks a {what} in {missing} of {len(frame)} rows; leave them out by `where`")
        columns.append(column.to_numpy() if column.dtype.kind in "biuf" else column.to_numpy(dtype=object))
    return np.asarray(columns[0]) if len(columns) == 1 else np.stack(columns, axis=1)


def numbers(frame: pd.DataFrame, names: Sequence[str]) -> Array:
    """Columns of numbers as rows (N, D), or one column of lists as rows (N, ...).

    Raises:
        TlbenchError: lists of mixed shapes, texts, or a number that is missing.
    """
    if len(names) == 1 and _nested(frame[names[0]]):
        return stacked(frame[names[0]].tolist(), names[0])
    for name in names:
        if not _numeric(frame, name):
            raise TlbenchError(f"column {name!r} holds texts ({str(frame[name].iloc[0])[:40]!r}), not numbers")
        if missing := int(frame[name].isna().sum()):
            raise TlbenchError(f"column {name!r} lacks a number in {missing} rows; leave them out by `where`")
    return feature_encoders.numbers(frame, names)


def stacked(cells: Sequence[Any], name: str) -> Array:
    """A column whose cells are lists of numbers as one array (N, ...).

    Raises:
        TlbenchError: cells of mixed shapes, or not numbers.
    """
    try:
        return np.stack([np.asarray(cell if isinstance(cell, np.ndarray) else list(cell)) for cell in cells])
    except (ValueError, TypeError) as error:
        raise TlbenchError(f"column {name!r} holds lists of mixed shapes; every row must be numbers of one shape") from error


def whole(paths: Sequence[str], root: Path, frame: Frame, needed: list[str] | None) -> pd.DataFrame:
    """All rows of several files, which must have the same columns.

    Raises:
        TlbenchError: no such file or column, files of unequal columns, no rows, or too many.
    """
    import pandas as pd

    frames: list[pd.DataFrame] = []
    for path in paths:
        one = frame(files.find(root, path), needed)
        if not len(one):
            raise TlbenchError(f"{path}: holds no row")
        if len(one) * max(len(one.columns), 1) > CELLS_LIMIT:
            raise TlbenchError(
                f"{path}: {len(one)} rows of {len(one.columns)} columns are more than the {CELLS_LIMIT} cells allowed"
            )
        one = dated(one)
        one.columns = one.columns.map(str)
        if twice := one.columns[one.columns.duplicated()].tolist():
            raise TlbenchError(f"{path}: column {twice[0]!r} is there twice")
        if needed is not None:
            for name in needed:
                with files.describe(path):
                    known(one, name)
            one = one[needed]
        if frames and set(one.columns) != set(frames[0].columns):
            odd = sorted(set(one.columns) ^ set(frames[0].columns))
            raise TlbenchError(f"{path}: has other columns than {paths[0]}: {', '.join(odd[:8])}")
        frames.append(one)
    return frames[0] if len(frames) == 1 else pd.concat(frames, ignore_index=True)


def dated(frame: pd.DataFrame) -> pd.DataFrame:
    """The same rows with dates and times as texts of ISO 8601, as text tables have them: a date is no number of nanoseconds."""
    for name in frame.columns:
        column = frame[name]
        there = column.dropna() if column.dtype.kind == "O" else column[:0]
        if column.dtype.kind in "mM" or (len(there) and isinstance(there.iloc[0], datetime.date)):
            frame = frame.assign(**{name: column.astype(str).astype(object).where(column.notna(), None)})
    return frame


def _needed(options: TableOptions, where: dict[str, Any]) -> list[str] | None:
    if options.features is None:
        return None
    group = [] if options.group is None else [options.group]
    return list(dict.fromkeys([*options.features, *options.label, *group, *where]))


def _nested(column: pd.Series[Any]) -> bool:
    there = column.dropna() if column.dtype.kind == "O" else column[:0]
    return len(there) > 0 and isinstance(there.iloc[0], list | tuple | np.ndarray)


def _features(frame: pd.DataFrame, options: TableOptions) -> list[str]:
    """The names of the feature columns."""
    for name in (*(options.features or ()), *options.categories):
        known(frame, name)
    if options.features is not None:
        if both := [name for name in options.label if name in options.features]:
            raise TlbenchError(f"features name the label {both[0]!r}")
        return options.features
    others = [name for name in frame.columns if name not in {*options.label, options.group, *options.where}]
    lists = [name for name in others if _nested(frame[name])]
    names = [
        name for name in others if name not in lists and (options.encode or name in options.categories or _numeric(frame, name))
    ]
    if names or not lists:
        if not names:
            raise TlbenchError(
                f"no column of numbers beside {', '.join(map(repr, options.label))}; there are {', '.join(frame.columns)}"
            )
        return names
    return lists[:1]


def _numeric(frame: pd.DataFrame, name: str) -> bool:
    """Whether a column holds numbers.

    Raises:
        TlbenchError: a column of numbers with a few texts in it (it would silently be left out or become categories), or
            with a whole number that is too large for any float.
    """
    import pandas as pd

    column = frame[name]
    if column.dtype.kind in "biuf":
        return True
    try:
        numbers = pd.to_numeric(column, errors="coerce")
    except OverflowError as error:
        raise TlbenchError(f"column {name!r} holds a number that is too large: {error}") from error
    there = column.notna()
    odd = there & numbers.isna()
    if odd.sum() < 0.1 * there.sum():
        if not odd.any():
            return bool(there.any())
        row = int(np.flatnonzero(odd)[0])
        raise TlbenchError(f"column {name!r} holds numbers, and {str(column.iloc[row])[:40]!r} in row {row} (counted from 0)")
    return False


def _texts(frame: pd.DataFrame, names: Sequence[str], options: TableOptions) -> tuple[str, ...]:
    """The columns of categories.

    Raises:
        TlbenchError: a column of texts without a way to encode it.
    """
    texts = tuple(name for name in names if name in options.categories or not _numeric(frame, name))
    for name in texts:
        if options.encode is None and name not in options.categories:
            raise TlbenchError(
                f"column {name!r} holds texts ({str(frame[name].iloc[0])[:40]!r}); "
                "set encode = 'onehot', or leave it out of features"
            )
    return texts
