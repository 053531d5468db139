"""Rows and columns of a table -> samples of numbers, labels and groups: shared by csv, parquet, jsonl and datasets.

Categories, imputed values and scales are fitted on the source samples of each pair, or once on the rows that `fit` names.
Whole features are scaled elsewhere: by `prepare`.
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
from tlbench.data.decoding.arrays import Array, ReaderResult
from tlbench.data.decoding.feature_encoders import UnencodedTable
from tlbench.data.sample_selection import Where, check_column, select
from tlbench.errors import TlbenchError
from tlbench.terms import Strict

if TYPE_CHECKING:
    import pandas as pd

CELLS_LIMIT = 2**30
"""Tables of more cells are refused: as float64 they take 8 GiB."""
MIXED_SHARE = 0.1
"""A column with fewer texts than this share is taken for numbers with errors, a column with more for categories."""


def _as_list(value: Any) -> Any:
    return [value] if isinstance(value, str) else value


def _as_column_name(value: Any) -> Any:
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else value


Paths = Annotated[list[str], BeforeValidator(_as_list), Field(min_length=1)]
"""One path or several, relative to the data root."""
Column = Annotated[str, BeforeValidator(_as_column_name)]
"""A column by its name, or by its number from 0 where a file has no names."""
Labels = Annotated[
    list[Column], BeforeValidator(lambda value: value if isinstance(value, list) else [value]), Field(min_length=1)
]
"""The column of the labels; several columns are the targets of a multi-task regression."""


class Fit(Strict, strict=True):
    """The rows that categories, imputed values and scales are fitted on."""

    path: Paths
    where: Where = Field(default_factory=dict)


class TableOptions(Strict, strict=True):
    """The keys that every reader of tables has."""

    path: Annotated[Paths, Field(description="the file, or a list of files, relative to the data root")]
    label: Annotated[Labels, Field(description="the column of the labels, or a list of columns of targets")]
    features: Annotated[list[Column], Field(min_length=1, description="the columns of the features")] | None = None
    """None: all columns of numbers (with encode = "onehot": all columns) but label, group and those in `where`."""
    group: Annotated[Column, Field(description="the column of the groups, for worst-group accuracy")] | None = None
    where: Annotated[Where, Field(description="rows to select: column = value, list of values or { min, max }")] = Field(
        default_factory=dict
    )
    encode: Annotated[Literal["onehot"], Field(description="one column for each category of each text column")] | None = None
    categories: Annotated[dict[str, list[str | int]], Field(description="the categories of a column; []: those that occur")] = (
        Field(default_factory=dict)
    )
    impute: (
        Annotated[Literal["mean", "median", "most_frequent"], Field(description="what replaces a missing number")] | None
    ) = None
    standardise: Annotated[bool, Field(description="whether numbers get mean 0 and deviation 1, fitted as `fit` says")] = False
    fit: Annotated[
        Literal["source"] | Fit,
        Field(description="what categories, imputed values and scales are fitted on: the source, or named rows"),
    ] = "source"


FrameReader = Callable[[Path, "list[str] | None"], "pd.DataFrame"]
"""A file and the needed columns (None: all) -> its rows; a column that the file lacks may be missing from the frame."""


def read(options: TableOptions, root: Path, read_frame: FrameReader) -> ReaderResult:
    """The rows of one or several files that `where` selects, as samples with labels and groups.

    Raises:
        TlbenchError: a column that is not there, a `where` that selects nothing, missing values, or texts among numbers.
    """
    frame = concatenated_frames(options.path, root, read_frame, _needed_columns(options, options.where))
    selected = select(frame, options.where)
    y = label_columns(selected, options.label)
    group = None if options.group is None else label_columns(selected, [options.group], "group")
    targets = tuple(options.label)
    features = _feature_columns(frame, options)
    if len(features) == 1 and _is_nested(frame[features[0]]):
        return ReaderResult(number_columns(selected, features), y, group, targets=targets)
    categories = _category_columns(frame, features, options)
    features = [name for name in features if name not in categories] + list(categories)
    samples = UnencodedTable(selected[features], categories, options.categories, options.impute, options.standardise)
    if options.fit == "source" and samples.requires_fit:
        return ReaderResult(samples, y, group, targets=targets)
    fit_on = samples
    if isinstance(options.fit, Fit):
        fit_frame = concatenated_frames(options.fit.path, root, read_frame, _needed_columns(options, options.fit.where))
        for name in features:
            check_column(fit_frame, name)
        fit_on = replace(samples, frame=select(fit_frame, options.fit.where)[features])
    return ReaderResult(samples.encode([fit_on]), y, group, targets=targets)


def label_columns(frame: pd.DataFrame, names: Sequence[str], what: str = "label") -> Array:
    """One column as labels (or groups) (N,), several as regression targets (N, K).

    Raises:
        TlbenchError: a column that is not there, or a missing value.
    """
    columns = []
    for name in names:
        check_column(frame, name)
        column = frame[name]
        if missing := int(column.isna().sum()):
            raise TlbenchError(
                f"The column {name!r} lacks a {what} in {missing} of {len(frame)} rows. Leave them out by `where`."
            )
        columns.append(column.to_numpy() if column.dtype.kind in "biuf" else column.to_numpy(dtype=object))
    return np.asarray(columns[0]) if len(columns) == 1 else np.stack(columns, axis=1)


def number_columns(frame: pd.DataFrame, names: Sequence[str]) -> Array:
    """Columns of numbers as samples (N, D), or one column of lists as samples (N, ...).

    Raises:
        TlbenchError: lists of mixed shapes, texts, or a missing number.
    """
    if len(names) == 1 and _is_nested(frame[names[0]]):
        return stacked_cells(frame[names[0]].tolist(), names[0])
    for name in names:
        if not _is_numeric(frame, name):
            raise TlbenchError(
                f"The column {name!r} holds texts ({str(frame[name].iloc[0])[:40]!r}), not numbers. Leave it out of features."
            )
        if missing := int(frame[name].isna().sum()):
            raise TlbenchError(f"The column {name!r} lacks a number in {missing} rows. Leave them out by `where`.")
    return feature_encoders.number_matrix(frame, names)


def stacked_cells(cells: Sequence[Any], name: str) -> Array:
    """A column whose cells are lists of numbers as one array (N, ...).

    Raises:
        TlbenchError: cells of mixed shapes, or cells that are no numbers.
    """
    try:
        return np.stack([np.asarray(cell if isinstance(cell, np.ndarray) else list(cell)) for cell in cells])
    except (ValueError, TypeError) as error:
        raise TlbenchError(f"The column {name!r} holds lists of mixed shapes; all must be numbers of one shape.") from error


def concatenated_frames(paths: Sequence[str], root: Path, read_frame: FrameReader, needed: list[str] | None) -> pd.DataFrame:
    """All rows of several files, which must have the same columns.

    Args:
        paths: the files, relative to the data root.
        root: the data root.
        read_frame: reads one file.
        needed: the columns of the result; None: all.

    Raises:
        TlbenchError: no such file or column, files with different columns, no rows, or too many.
    """
    import pandas as pd

    frames: list[pd.DataFrame] = []
    for path in paths:
        frame = read_frame(files.find(root, path), needed)
        if not len(frame):
            raise TlbenchError(f"{path}: The file holds no rows.")
        if len(frame) * max(len(frame.columns), 1) > CELLS_LIMIT:
            raise TlbenchError(
                f"{path}: {len(frame)} rows of {len(frame.columns)} columns are more than the {CELLS_LIMIT} cells allowed. "
                "Name fewer features, or split the file."
            )
        frame = dates_as_texts(frame)
        frame.columns = frame.columns.map(str)
        if duplicates := frame.columns[frame.columns.duplicated()].tolist():
            raise TlbenchError(f"{path}: The column {duplicates[0]!r} is there twice. Rename one of the two.")
        if needed is not None:
            for name in needed:
                with files.error_prefix(path):
                    check_column(frame, name)
            frame = frame[needed]
        if frames and set(frame.columns) != set(frames[0].columns):
            others = sorted(set(frame.columns) ^ set(frames[0].columns))
            raise TlbenchError(
                f"{path}: The file has other columns than {paths[0]}: {', '.join(others[:8])}. "
                "All files of a domain need the same columns."
            )
        frames.append(frame)
    return frames[0] if len(frames) == 1 else pd.concat(frames, ignore_index=True)


def dates_as_texts(frame: pd.DataFrame) -> pd.DataFrame:
    """The same rows with dates and times as ISO 8601 texts, as text tables have them, and not as nanoseconds."""
    for name in frame.columns:
        column = frame[name]
        present = column.dropna() if column.dtype.kind == "O" else column[:0]
        if column.dtype.kind in "mM" or (len(present) and isinstance(present.iloc[0], datetime.date)):
            frame = frame.assign(**{name: column.astype(str).astype(object).where(column.notna(), None)})
    return frame


def _needed_columns(options: TableOptions, where: dict[str, Any]) -> list[str] | None:
    if options.features is None:
        return None
    group = [] if options.group is None else [options.group]
    return list(dict.fromkeys([*options.features, *options.label, *group, *where]))


def _is_nested(column: pd.Series[Any]) -> bool:
    """Whether the cells of a column are lists or arrays."""
    present = column.dropna() if column.dtype.kind == "O" else column[:0]
    return len(present) > 0 and isinstance(present.iloc[0], list | tuple | np.ndarray)


def _feature_columns(frame: pd.DataFrame, options: TableOptions) -> list[str]:
    """The names of the feature columns."""
    for name in (*(options.features or ()), *options.categories):
        check_column(frame, name)
    if options.features is not None:
        if both := [name for name in options.label if name in options.features]:
            raise TlbenchError(f"The label {both[0]!r} is among the features. Leave it out of features.")
        return options.features
    candidates = [name for name in frame.columns if name not in {*options.label, options.group, *options.where}]
    nested = [name for name in candidates if _is_nested(frame[name])]
    names = [
        name
        for name in candidates
        if name not in nested and (options.encode or name in options.categories or _is_numeric(frame, name))
    ]
    if names or not nested:
        if not names:
            raise TlbenchError(
                f"There is no column of numbers beside {', '.join(map(repr, options.label))}. "
                f"The columns are {', '.join(frame.columns)}; set encode = 'onehot' for texts."
            )
        return names
    return nested[:1]


def _is_numeric(frame: pd.DataFrame, name: str) -> bool:
    """Whether a column holds numbers.

    Raises:
        TlbenchError: a column of numbers with a few texts in it (it would silently be left out or become categories), or
            with an integer that is too large for any float.
    """
    import pandas as pd

    column = frame[name]
    if column.dtype.kind in "biuf":
        return True
    try:
        numbers = pd.to_numeric(column, errors="coerce")
    except OverflowError as error:
        raise TlbenchError(f"The column {name!r} holds a number that is too large: {error}. Correct it.") from error
    present = column.notna()
    texts = present & numbers.isna()
    if texts.sum() < MIXED_SHARE * present.sum():
        if not texts.any():
            return bool(present.any())
        row = int(np.flatnonzero(texts)[0])
        raise TlbenchError(
            f"The column {name!r} holds numbers, and {str(column.iloc[row])[:40]!r} in row {row} (counted from 0). "
            "Correct the file."
        )
    return False


def _category_columns(frame: pd.DataFrame, names: Sequence[str], options: TableOptions) -> tuple[str, ...]:
    """The feature columns that hold categories.

    Raises:
        TlbenchError: a column of texts that nothing encodes.
    """
    columns = tuple(name for name in names if name in options.categories or not _is_numeric(frame, name))
    for name in columns:
        if options.encode is None and name not in options.categories:
            raise TlbenchError(
                f"The column {name!r} holds texts ({str(frame[name].iloc[0])[:40]!r}). "
                "Set encode = 'onehot', or leave it out of features."
            )
    return columns
