"""Text tables (.csv, .tsv), plain or gzip, with or without a header: a column of labels, and columns of features."""

from __future__ import annotations

import contextlib
import json
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import Field

from tlbench.data.decoding import files, tables
from tlbench.data.decoding.arrays import ReaderResult
from tlbench.errors import TlbenchError

if TYPE_CHECKING:
    import pandas as pd


class Options(tables.TableOptions, strict=True):
    """How the text is read; see `TableOptions` for the keys that assign the columns."""

    separator: Annotated[str, Field(min_length=1, max_length=1, description="the character between two cells")] = ","
    header: Annotated[bool, Field(description="whether the first line names the columns; else they are '0', '1', ...")] = True
    names: Annotated[list[str], Field(min_length=1, description="names for the columns of a file without header")] | None = None
    skip: Annotated[int, Field(ge=0, description="lines to skip at the beginning")] = 0
    encoding: Annotated[str, Field(description="the encoding of the text")] = "utf-8"
    missing: Annotated[list[str], Field(description="cells that mean a missing value")] = Field(
        default_factory=lambda: ["", "?", "NA", "N/A", "NaN", "nan", "null"]
    )


def read(options: Options, root: Path) -> ReaderResult:
    """Samples (N, D) and labels (N,); blanks around cells are stripped.

    Raises:
        TlbenchError: a file or column that is not there, lines of unequal length, text of another encoding, or cells of another
            type than their column.
    """
    return tables.read(options, root, frame_reader(options))


def frame_reader(options: Options) -> tables.FrameReader:
    """The function that reads one file as a data frame."""

    def read_frame(path: Path, needed: list[str] | None) -> pd.DataFrame:
        import pandas as pd

        if options.names is not None and options.header:
            raise TlbenchError("names is for a file without a header. Set header = false.")
        settings: dict[str, Any] = {
            "sep": options.separator,
            "index_col": False,
            "skiprows": options.skip,
            "skipinitialspace": True,
            "encoding": options.encoding,
            "keep_default_na": False,
        }
        with _encoding_hint(), files.guarded_reading(path, "csv"), warnings.catch_warnings():
            warnings.simplefilter("error", pd.errors.ParserWarning)
            if options.header:  # pandas would silently rename the second of two equal names to "a.1"
                with files.open_unzipped(path) as stream:
                    names = pd.read_csv(stream, header=None, nrows=1, dtype=str, **settings).iloc[0].str.strip()
                if duplicates := names[names.duplicated()].tolist():
                    raise TlbenchError(f"{path}: Two columns are called {duplicates[0]!r}. Rename one.")
            with files.open_unzipped(path) as stream:
                frame = pd.read_csv(
                    stream,
                    header=0 if options.header else None,
                    names=options.names,
                    na_values=options.missing,
                    low_memory=False,
                    **settings,
                )
            _check_separator(path, frame, options)
            return frame

    return read_frame


def _check_separator(path: Path, frame: pd.DataFrame, options: Options) -> None:
    """Raise an error that names the separator, if the file has one column and its text holds another separator."""
    if len(frame.columns) > 1 or not len(frame):
        return
    line = str(frame.columns[0] if options.header else frame.iloc[0, 0])
    for other in {";", "\t", "|", ","} - {options.separator}:
        if other in line:
            raise TlbenchError(f"{path}: There is only one column, {line[:60]!r}. Set separator = {json.dumps(other)}.")


@contextlib.contextmanager
def _encoding_hint() -> Iterator[None]:
    """Add a hint to errors about the encoding of the text."""
    try:
        yield
    except TlbenchError as error:
        if isinstance(error.__cause__, UnicodeError | LookupError):
            raise TlbenchError(f"{error} Set encoding, as in encoding = 'latin-1'.") from error
        raise
