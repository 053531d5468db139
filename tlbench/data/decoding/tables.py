"""Rows and columns of a table -> samples of numbers, labels and groups: shared by csv, parquet, jsonl and datasets.

Categories, imputed values and scales are fitted on the source samples of each pair, or once on the rows that `fit` names.
Whole features are scaled elsewhere: by `prepare`.
"""

from __future__ import annotations

import datetime
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from tlbench.data.decoding import columns, feature_encoders, files
from tlbench.data.decoding.arrays import Array, ReaderResult
from tlbench.data.decoding.columns import Table
from tlbench.data.decoding.feature_encoders import UnencodedTable
from tlbench.data.decoding.table_options import Fit, TableOptions
from tlbench.data.labels.bins import binned
from tlbench.data.labels.classes import listed, normalized
from tlbench.data.sample_selection import check_column, select
from tlbench.errors import TlbenchError

if TYPE_CHECKING:
    import pandas as pd

CELLS_LIMIT = 2**30
"""Tables of more cells are refused: as float64 they take 8 GiB."""
COLUMNS_LIMIT = 2**17
"""Tables of more columns are refused: each column takes about a millisecond."""

FrameReader = Callable[[Path, "list[str] | None"], "pd.DataFrame"]
"""A file and the needed columns (None: all) -> its rows; a column that the file lacks may be missing from the frame."""


def read(options: TableOptions, root: Path, read_frame: FrameReader) -> ReaderResult:
    """The rows of one or several files that `where` selects, as samples with labels and groups.

    Raises:
        TlbenchError: a column that is not there, a `where` that selects nothing, missing values, or texts among numbers.
    """
    table = _read_table(options, options.path, root, read_frame, options.where)
    frame = table.frame
    number = options.number_format.number
    selected = select(frame, options.where, number)
    y = label_columns(selected, options.label, missing=options.missing)
    y = y if options.bins is None else binned(y, options.bins, number)
    group = None if options.group is None else label_columns(selected, [options.group], "group", options.missing)
    features = columns.feature_columns(table, options)
    names = features.names
    result = ReaderResult(
        None,
        y,
        group,
        targets=tuple(options.label),
        number=number,
        left_out=features.notes,
        reading=_reading(options, table, selected, names),
    )
    if len(names) == 1 and columns.is_nested(frame[names[0]]):
        return replace(result, x=number_columns(selected, names))
    categories = columns.category_columns(frame, names, options)
    names = [name for name in names if name not in categories] + list(categories)
    samples = UnencodedTable(selected[names], categories, options.categories, options.impute, options.standardise)
    if options.fit == "source" and samples.requires_fit:
        return replace(result, x=samples)
    fit_on = samples
    if isinstance(options.fit, Fit):
        fit_frame = _read_table(options, options.fit.path, root, read_frame, options.fit.where).frame
        for name in names:
            check_column(fit_frame, name)
        fit_on = replace(samples, frame=select(fit_frame, options.fit.where, number)[names])
    return replace(result, x=samples.encode([fit_on]))


def _read_table(
    options: TableOptions, paths: Sequence[str], root: Path, read_frame: FrameReader, where: dict[str, Any]
) -> Table:
    """The rows of some files, with numbers written as Python writes them in all columns but those of labels and groups.

    Args:
        options: the keys of the reader.
        paths: the files, relative to the data root.
        root: the data root.
        read_frame: reads one file.
        where: the conditions, whose columns are needed.
    """
    table = concatenated_frames(paths, root, read_frame, options.needed_columns(where))
    form, frame = options.number_format, table.frame
    if form.is_plain and not form.missing:
        return table
    texts = [name for name in frame.columns if frame[name].dtype.kind == "O" and name not in options.text_columns]
    plain = {name: form.plain_column(frame[name]) for name in texts if not columns.is_nested(frame[name])}
    changed = {name: column for name, column in plain.items() if column is not frame[name]}
    return replace(table, frame=frame.assign(**changed)) if changed else table


def _reading(options: TableOptions, table: Table, selected: pd.DataFrame, features: Sequence[str]) -> tuple[str, ...]:
    """What is read of a table, for `data show`: the columns used, and the rows."""
    roles = [f"label {', '.join(options.label)}"]
    roles += [] if options.group is None else [f"group {options.group}"]
    roles += [f"where {', '.join(options.where)}"] if options.where else []
    rows, count = len(selected), len(table.frame)
    chosen = f", {count - rows:,} left out by where" if rows < count else ""
    return (
        f"{columns.counted(len(features), 'column')} of features: {listed(features)}",
        "; ".join(roles),
        f"{rows:,} of {count:,} rows{chosen}",
    )


def label_columns(frame: pd.DataFrame, names: Sequence[str], what: str = "label", missing: Sequence[str] = ()) -> Array:
    """One column as labels (or groups) (N,), several as regression targets (N, K).

    Args:
        frame: the rows.
        names: the columns.
        what: "label" or "group", for errors.
        missing: the cells that mean a missing value, for errors; a blank text always does.

    Raises:
        TlbenchError: a column that is not there, or a missing value.
    """
    label_arrays = []
    for name in names:
        check_column(frame, name)
        column = frame[name]
        cells = column.to_numpy() if column.dtype.kind in "biuf" else column.to_numpy(dtype=object)
        is_missing_N = np.array(column.isna(), dtype=bool)
        if cells.dtype.kind == "O":
            is_missing_N |= np.array([isinstance(cell, str) and not cell.strip() for cell in cells], dtype=bool)
        count = int(is_missing_N.sum())
        if count and len(names) > 1 and count < len(frame):  # one of several tasks: a sample may lack its label
            cells = cells.astype(object)
            cells[is_missing_N] = None
        elif count:
            names_too = (
                "" if not any(missing) else f", or set missing = [] if one of {', '.join(filter(None, missing))} is a name"
            )
            raise TlbenchError(
                f"The column {name!r} lacks a {what} in {count} of {len(frame)} rows, first in row "
                f"{frame.index[int(is_missing_N.argmax())]} (counted from 0). Leave them out by `where`{names_too}."
            )
        label_arrays.append(cells)
    return np.asarray(label_arrays[0]) if len(label_arrays) == 1 else np.stack(label_arrays, axis=1)


def number_columns(frame: pd.DataFrame, names: Sequence[str]) -> Array:
    """Columns of numbers as samples (N, D), or one column of lists as samples (N, ...).

    Raises:
        TlbenchError: lists of mixed shapes, texts, or a missing number.
    """
    if len(names) == 1 and columns.is_nested(frame[names[0]]):
        return stacked_cells(frame[names[0]].tolist(), names[0])
    for name in names:
        if not columns.is_numeric(frame, name):
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


def concatenated_frames(paths: Sequence[str], root: Path, read_frame: FrameReader, needed: list[str] | None) -> Table:
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
    index_sets, counting_sets = [], []
    for path in paths:
        frame = read_frame(files.find(root, path), needed)
        if not len(frame):
            raise TlbenchError(f"{path}: The file holds no rows.")
        if len(frame) * max(len(frame.columns), 1) > CELLS_LIMIT:
            raise TlbenchError(
                f"{path}: {len(frame)} rows of {len(frame.columns)} columns are more than the {CELLS_LIMIT} cells allowed. "
                "Name fewer features, or split the file."
            )
        check_columns(path, len(frame.columns))
        frame.columns = frame.columns.map(lambda name: normalized(str(name)))
        if duplicates := frame.columns[frame.columns.duplicated()].tolist():
            raise TlbenchError(f"{path}: The column {duplicates[0]!r} is there twice. Rename one of the two.")
        index_sets.append(columns.index_columns(frame))
        counting_sets.append(columns.counting_columns(frame))
        frame = dates_as_texts(frame)
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
    whole = frames[0] if len(frames) == 1 else pd.concat(frames, ignore_index=True)
    return Table(whole, frozenset(set.union(*index_sets)), frozenset(set.intersection(*counting_sets)))


def check_columns(path: Path | str, count: int) -> None:
    """Check that a file has not too many columns.

    Raises:
        TlbenchError: it has.
    """
    if count > COLUMNS_LIMIT:
        raise TlbenchError(
            f"{path}: The file has {count:,} columns, and {COLUMNS_LIMIT:,} are allowed. Store the features as an array "
            "(npz, hdf5), or as one column of lists."
        )


def dates_as_texts(frame: pd.DataFrame) -> pd.DataFrame:
    """The same rows with dates and times as ISO 8601 texts, as text tables have them, and not as nanoseconds."""
    texts = {}
    for name in frame.columns:
        column = frame[name]
        present = column.dropna() if column.dtype.kind == "O" else column[:0]
        if column.dtype.kind in "mM" or (len(present) and isinstance(present.iloc[0], datetime.date)):
            texts[name] = column.astype(str).astype(object).where(column.notna(), None)
    return frame.assign(**texts) if texts else frame
