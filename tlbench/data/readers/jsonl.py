"""JSON lines (.jsonl), plain or gzip: one object per line, whose keys are the columns."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import Field

from tlbench.data.decoding import files, tables
from tlbench.data.decoding.arrays import ReaderResult
from tlbench.errors import TlbenchError

if TYPE_CHECKING:
    import pandas as pd


class Options(tables.TableOptions, strict=True):
    """See `TableOptions` for the keys that assign the columns. A feature may be a list of numbers, if it is the only one."""

    encoding: Annotated[str, Field(description="the encoding of the text")] = "utf-8"


def read(options: Options, root: Path) -> ReaderResult:
    """Samples (N, D), or (N, ...) from one key that holds lists, and labels (N,).

    Raises:
        TlbenchError: a file or key that is not there, or a line that is not a JSON object; the line's number is given.
    """
    return tables.read(options, root, frame_reader(options))


def frame_reader(options: Options) -> tables.FrameReader:
    """The function that reads one file as a data frame."""

    def read_frame(path: Path, needed: list[str] | None) -> pd.DataFrame:
        import pandas as pd

        rows: list[dict[str, Any]] = []
        columns: dict[str, None] = {}
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
            if needed is not None and not set(needed) <= set(columns):
                return pd.DataFrame(index=range(len(rows)), columns=list(columns))  # the error will name the missing one
            return pd.DataFrame.from_records(rows)

    return read_frame
