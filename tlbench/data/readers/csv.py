"""Text tables (.csv, .tsv), plain or gzip, with or without a header: a column of labels, and columns of features."""

from __future__ import annotations

import contextlib
import json
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import Field

from tlbench.data.decoding import files, tables
from tlbench.data.decoding.arrays import ReaderResult
from tlbench.data.decoding.table_options import TableOptions
from tlbench.errors import TlbenchError

if TYPE_CHECKING:
    import pandas as pd


MAX_SKIP = 10**6


PATH_KEYS = ("path", "fit.path")
LIBRARIES = ("pandas", "scikit-learn")


class Options(TableOptions, strict=True):
    """How the text is read; see `TableOptions` for the keys that assign the columns."""

    separator: Annotated[str, Field(min_length=1, max_length=1, description="the character between two cells")] = ","
    header: Annotated[bool, Field(description="whether the first line names the columns; else they are '0', '1', ...")] = True
    names: Annotated[list[str], Field(min_length=1, description="names for the columns of a file without header")] | None = None
    skip: Annotated[int, Field(ge=0, le=MAX_SKIP, description="lines to skip at the beginning")] = 0
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
    return tables.read(options, root, frame_reader(options, options.text_columns))


def frame_reader(options: Options, texts: Sequence[str]) -> tables.FrameReader:
    """The function that reads one file as a data frame; the cells of some columns (`texts`) stay as they are written."""

    def read_frame(path: Path, needed: list[str] | None) -> pd.DataFrame:
        import pandas as pd

        if options.names is not None and options.header:
            raise TlbenchError("names is for a file without a header. Set header = false.")
        _check_header(path, options)
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
                if duplicates := names[names.duplicated() & (names != "") & names.notna()].tolist():
                    raise TlbenchError(f"{path}: Two columns are called {duplicates[0]!r}. Rename one.")
            keys = [int(name) if not options.header and options.names is None and name.isdigit() else name for name in texts]
            as_written: Any = str if not options.number_format.is_plain else dict.fromkeys(keys, str)
            with files.open_unzipped(path) as stream:
                frame = pd.read_csv(
                    stream,
                    header=0 if options.header else None,
                    names=options.names,
                    na_values=options.missing,
                    dtype=as_written,
                    low_memory=False,
                    **settings,
                )
            stripped = {key: frame[key].str.strip() for key in keys if key in frame.columns}
            return _with_columns(frame, stripped, options.missing)

    return read_frame


def _with_columns(frame: pd.DataFrame, columns: dict[Any, pd.Series[Any]], missing: Sequence[str]) -> pd.DataFrame:
    """A frame with some columns of texts, in which the missing cells are None."""
    for key, column in columns.items():
        frame[key] = column.astype(object).where(column.notna() & ~column.isin(missing), None)
    return frame


def _check_header(path: Path, options: Options) -> None:
    """Check the first line after those to skip: it has the separator, and not too many cells.

    Raises:
        TlbenchError: there are no more lines, too many columns, or one column whose text holds another separator.
    """
    with files.guarded_reading(path, "csv"), files.open_unzipped(path) as stream:
        lines = 0
        for lines, line in enumerate(stream, 1):
            if lines > options.skip and line.strip():
                break
        else:
            if options.skip:
                raise TlbenchError(
                    f"{path}: The file has {lines:,} lines, and skip = {options.skip:,} leaves none. Skip fewer."
                )
            return
    separator = options.separator.encode()
    tables.check_columns(path, line.count(separator) + 1)
    others = [other for other in (";", "\t", "|", ",") if other.encode() in line]
    if separator not in line and others:
        text = line.decode(errors="replace").strip().strip('"')
        raise TlbenchError(f"{path}: There is only one column, {text[:60]!r}. Set separator = {json.dumps(others[0])}.")


@contextlib.contextmanager
def _encoding_hint() -> Iterator[None]:
    """Add a hint to errors about the encoding of the text."""
    try:
        yield
    except TlbenchError as error:
        if isinstance(error.__cause__, UnicodeError | LookupError):
            raise TlbenchError(f"{error} Set encoding, as in encoding = 'latin-1'.") from error
        raise
