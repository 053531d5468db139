"""Text tables (.csv, .tsv), gzip or plain, with or without a header: one column of labels, others of features."""

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
    """How the text is to be read; which columns are what is told as for all tables."""

    separator: Annotated[str, Field(min_length=1, max_length=1, description="what stands between two cells")] = ","
    header: Annotated[bool, Field(description="whether the first line names the columns; else they are '0', '1', ...")] = True
    names: Annotated[list[str], Field(min_length=1, description="names for the columns of a file without header")] | None = None
    skip: Annotated[int, Field(ge=0, description="lines to leave out at the beginning")] = 0
    encoding: Annotated[str, Field(description="of the text")] = "utf-8"
    missing: Annotated[list[str], Field(description="cells that mean: no value")] = Field(
        default_factory=lambda: ["", "?", "NA", "N/A", "NaN", "nan", "null"]
    )


def read(options: Options, root: Path) -> ReaderResult:
    """Rows (N, D) and labels (N,); cells lose the blanks around them.

    Raises:
        TlbenchError: no such file or column, lines of unequal length, not text of the encoding, or cells of another kind.
    """

    return tables.read(options, root, frames(options))


def frames(options: Options) -> tables.FrameReader:
    """How a file becomes rows and columns."""

    def frame(path: Path, needed: list[str] | None) -> pd.DataFrame:
        import pandas as pd

        if options.names is not None and options.header:
            raise TlbenchError("names are for a file without header; set header = false")
        shared: dict[str, Any] = {
            "sep": options.separator,
            "index_col": False,
            "skiprows": options.skip,
            "skipinitialspace": True,
            "encoding": options.encoding,
            "keep_default_na": False,
        }
        with _text(), files.guarded_reading(path, "csv"), warnings.catch_warnings():
            warnings.simplefilter("error", pd.errors.ParserWarning)
            if options.header:  # pandas would quietly call the second of two equal names "a.1"
                with files.open_unzipped(path) as stream:
                    names = pd.read_csv(stream, header=None, nrows=1, dtype=str, **shared).iloc[0].str.strip()
                if twice := names[names.duplicated()].tolist():
                    raise TlbenchError(f"{path}: column {twice[0]!r} is there twice")
            with files.open_unzipped(path) as stream:
                found = pd.read_csv(
                    stream,
                    header=0 if options.header else None,
                    names=options.names,
                    na_values=options.missing,
                    low_memory=False,
                    **shared,
                )
            _separated(path, found, options)
            return found

    return frame


def _separated(path: Path, frame: pd.DataFrame, options: Options) -> None:
    """Say the way out where another separator stands between the cells."""
    if len(frame.columns) > 1 or not len(frame):
        return
    line = str(frame.columns[0] if options.header else frame.iloc[0, 0])
    for other in {";", "\t", "|", ","} - {options.separator}:
        if other in line:
            raise TlbenchError(f"{path}: one column, {line[:60]!r}; set separator = {json.dumps(other)}")


@contextlib.contextmanager
def _text() -> Iterator[None]:
    """Say the way out where the text is of another encoding."""
    try:
        yield
    except TlbenchError as error:
        if isinstance(error.__cause__, UnicodeError | LookupError):
            raise TlbenchError(f"{error}; set encoding, as in encoding = 'latin-1'") from error
        raise
