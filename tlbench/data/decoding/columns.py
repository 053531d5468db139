"""Which columns of a table are features, and which are left out for which reason."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from tlbench.data.decoding.number_texts import NumberFormat, number_error
from tlbench.data.decoding.table_options import TableOptions
from tlbench.data.labels.classes import listed
from tlbench.data.sample_selection import check_column
from tlbench.errors import TlbenchError

if TYPE_CHECKING:
    import pandas as pd

NAMELESS = re.compile(r"\s*|Unnamed: \d+(_level_\d+)?(\.\d+)?|__index_level_\d+__|__null_dask_index__|level_\d+")
"""The names that columns without a name and stored indices have; "Unnamed: 0" is what pandas calls them."""
ROW_NAMES = frozenset({
    "id", "index", "idx", "row", "rowid", "rowindex", "rowidx", "rownumber", "rownum", "rownr", "rownames", "uid", "uuid",
    "guid", "key", "sampleid", "recordid", "caseid",
})  # fmt: skip
"""Names, in lower case and without signs, of columns that number the rows if all their cells differ."""
MIN_COUNTED = 10
"""A column that counts fewer rows than this is not remarked upon."""


@dataclass(frozen=True)
class Table:
    """The rows of one or several files."""

    frame: pd.DataFrame
    index_columns: frozenset[str] = frozenset()
    """Columns that name or number the rows: an index that was stored, or an "id" whose cells all differ."""
    counting_columns: frozenset[str] = frozenset()
    """Other columns of the whole numbers in a row, from the first row of each file to its last."""


@dataclass(frozen=True)
class FeatureColumns:
    """The columns that are features, and sentences about the others."""

    names: list[str]
    notes: tuple[str, ...] = ()


def index_columns(frame: pd.DataFrame) -> set[str]:
    """The columns of one file that name or number its rows and measure nothing."""
    names = {str(name) for name in frame.attrs.get("index_columns", ())}
    for name in frame.columns:
        if NAMELESS.fullmatch(name):
            names.add(name)
        elif re.sub(r"[^a-z]", "", name.casefold()) in ROW_NAMES and len(frame) > 1:
            column = frame[name]
            is_whole = column.dtype.kind in "iu" or (column.dtype.kind == "O" and not is_nested(column))
            if is_whole and column.notna().all() and column.is_unique:
                names.add(name)
    return names & set(frame.columns)


def counting_columns(frame: pd.DataFrame) -> set[str]:
    """The columns of one file that count its rows."""
    if len(frame) < MIN_COUNTED:
        return set()
    columns = [name for name in frame.columns if frame[name].dtype.kind in "iu"]
    return {name for name in columns if (np.diff(frame[name].to_numpy()) == 1).all()}


def feature_columns(table: Table, options: TableOptions) -> FeatureColumns:
    """The feature columns: those that `features` names, else all that hold numbers or encoded categories.

    Raises:
        TlbenchError: a column that is not there, no column of numbers, or a column of numbers that can't be read.
    """
    frame = table.frame
    for name in (*(options.features or ()), *options.categories):
        check_column(frame, name)
    if options.features is not None:
        if both := [name for name in options.label if name in options.features]:
            raise TlbenchError(f"The label {both[0]!r} is among the features. Leave it out of features.")
        return FeatureColumns(options.features)
    others = {*options.label, options.group, *options.where}
    candidates = [name for name in frame.columns if name not in others]
    ids = [name for name in candidates if name in table.index_columns and name not in options.categories]
    candidates = [name for name in candidates if name not in ids]
    nested = [name for name in candidates if is_nested(frame[name])]
    names = [name for name in candidates if name not in nested and _is_feature(frame, name, options)]
    texts = [name for name in candidates if name not in nested and name not in names]
    if not names and nested:
        names, nested = nested[:1], nested[1:]
    notes = [
        *_left_out(ids, "names or numbers of the rows"),
        *_left_out(nested, "lists beside other features"),
        *_left_out(texts, "texts (encode = 'onehot' makes features of texts)"),
    ]
    if not names:
        raise TlbenchError(
            f"There is no column of numbers beside {', '.join(map(repr, options.label))}. "
            f"The columns are {listed(list(frame.columns))}; set encode = 'onehot' for texts. {' '.join(notes)}".strip()
        )
    if counting := [name for name in names if name in table.counting_columns]:
        notes.append(
            f"Columns among the features count the rows: {listed(counting)}. Leave out by features what is no measurement."
        )
    return FeatureColumns(names, tuple(notes))


def _is_feature(frame: pd.DataFrame, name: str, options: TableOptions) -> bool:
    return name in options.categories or is_numeric(frame, name, options.number_format) or options.encode is not None


def _left_out(names: Sequence[str], reason: str) -> Iterable[str]:
    """A sentence about columns that are left out, if there are any."""
    if not names:
        return []
    return [f"Left out: {counted(len(names), 'column')} of {reason}: {listed(names)}. Name in features what is to be used."]


def counted(count: int, noun: str) -> str:
    """A number with its noun, such as "1 column" and "2 columns"."""
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def is_nested(column: pd.Series[Any]) -> bool:
    """Whether the cells of a column are lists or arrays."""
    present = column.dropna() if column.dtype.kind == "O" else column[:0]
    return len(present) > 0 and isinstance(present.iloc[0], list | tuple | np.ndarray)


def is_numeric(frame: pd.DataFrame, name: str, form: NumberFormat | None = None) -> bool:
    """Whether a column holds numbers.

    Args:
        frame: the rows.
        name: the column.
        form: how the reader was told that numbers are written; None: it has no keys for that.

    Raises:
        TlbenchError: a column of numbers of another spelling or with a few texts in it (it would silently be left out or become
            categories), or with an integer that is too large for any float.
    """
    import pandas as pd

    column = frame[name]
    if column.dtype.kind in "biuf":
        return True
    try:
        numbers = pd.to_numeric(column, errors="coerce")
    except OverflowError as error:
        raise TlbenchError(f"The column {name!r} holds a number that is too large: {error}. Correct it.") from error
    if error_text := number_error(column, numbers, form):
        raise TlbenchError(error_text)
    return bool(column.notna().any()) and not (column.notna() & numbers.isna()).any()


def category_columns(frame: pd.DataFrame, names: Sequence[str], options: TableOptions) -> tuple[str, ...]:
    """The feature columns that hold categories.

    Raises:
        TlbenchError: a column of texts that nothing encodes.
    """
    form = options.number_format
    columns = tuple(name for name in names if name in options.categories or not is_numeric(frame, name, form))
    for name in columns:
        if options.encode is None and name not in options.categories:
            raise TlbenchError(
                f"The column {name!r} holds texts ({str(frame[name].iloc[0])[:40]!r}). "
                "Set encode = 'onehot', or leave it out of features."
            )
    return columns
