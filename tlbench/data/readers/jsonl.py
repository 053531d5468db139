"""JSON lines (.jsonl), plain or gzip: one object per line, whose keys are the columns."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import Field

from tlbench.data.decoding import files, tables
from tlbench.data.decoding.arrays import ReaderResult
from tlbench.data.decoding.table_options import TableOptions
from tlbench.errors import TlbenchError

if TYPE_CHECKING:
    import pandas as pd


MIN_CELLS, MIN_SHARE = 2**24, 0.01
"""A table of more cells than this whose lines give a smaller share of them is refused: its lines have keys of their own."""


PATH_KEYS = ("path", "fit.path")
LIBRARIES = ("pandas", "scikit-learn")


class Options(TableOptions, strict=True):
    """See `TableOptions` for the keys that assign the columns. A feature may be a list of numbers, if it is the only one."""

    encoding: Annotated[str, Field(description="the encoding of the text")] = "utf-8"


def read(options: Options, root: Path) -> ReaderResult:
    """Samples (N, D), or (N, ...) from one key that holds lists, and labels (N,).

    Raises:
        TlbenchError: a file or key that is not there, or a line that is not a JSON object; the line's number is given.
    """
    return tables.read(options, root, frame_reader(options, options.text_columns))


def frame_reader(options: Options, texts: Sequence[str]) -> tables.FrameReader:
    """The function that reads one file as a data frame; the cells of some columns (`texts`) stay as they are written."""

    def read_frame(path: Path, needed: list[str] | None) -> pd.DataFrame:
        import pandas as pd

        rows: list[dict[str, Any]] = []
        columns: dict[str, None] = {}
        given = 0
        with files.guarded_reading(path, "jsonl"), files.open_unzipped(path) as stream:
            for number, line in enumerate(stream, 1):
                if line.strip():
                    try:
                        row = json.loads(line.decode(options.encoding))
                    except (ValueError, RecursionError) as error:
                        raise TlbenchError(f"{path}: Line {number} is not JSON ({error}).") from error
                    if not isinstance(row, dict):
                        raise TlbenchError(f"{path}: Line {number} is not an object {{...}}. Write one object per line.")
                    columns |= dict.fromkeys(row)
                    rows.append(row if needed is None else {name: row[name] for name in needed if name in row})
                    given += len(rows[-1])
                    if needed is None:
                        _check_keys(path, len(rows), len(columns), given)
            if needed is not None and not set(needed) <= set(columns):
                return pd.DataFrame(index=range(len(rows)), columns=list(columns))  # the error will name the missing one
            frame = pd.DataFrame.from_records(rows)
            for name in texts:  # pandas would make floats of whole numbers beside null
                if name in frame.columns:
                    frame[name] = pd.Series([row.get(name) for row in rows], dtype=object)
            return frame

    return read_frame


def _check_keys(path: Path, lines: int, keys: int, given: int) -> None:
    """Check that the objects of a file have their keys in common.

    Args:
        path: the file, for errors.
        lines: the number of objects read.
        keys: the number of their keys.
        given: the number of their values.

    Raises:
        TlbenchError: there are too many keys, most of which most lines lack.
    """
    tables.check_columns(path, keys)
    cells = lines * keys
    if cells > tables.CELLS_LIMIT or (cells > MIN_CELLS and given < MIN_SHARE * cells):
        raise TlbenchError(
            f"{path}: The first {lines:,} lines have {keys:,} different keys, and most lines lack most of them. "
            "Give all lines the same keys, or name the keys to use by features."
        )
