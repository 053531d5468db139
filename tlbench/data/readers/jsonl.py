"""JSON lines (.jsonl), gzip or plain: one object a line, whose keys are the columns."""

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
    """Which keys are what; see the keys of all tables. A feature may be a list of numbers, if it is the only one."""

    encoding: Annotated[str, Field(description="of the text")] = "utf-8"


def read(options: Options, root: Path) -> ReaderResult:
    """Rows (N, D), or (N, ...) from one key that holds lists, and labels (N,).

    Raises:
        TlbenchError: no such file or key, or a line that is not a JSON object, by its number.
    """

    return tables.read(options, root, frames(options))


def frames(options: Options) -> tables.FrameReader:
    """How a file becomes rows and columns."""

    def frame(path: Path, needed: list[str] | None) -> pd.DataFrame:
        import pandas as pd

        rows: list[dict[str, Any]] = []
        seen: dict[str, None] = {}
        with files.guarded_reading(path, "jsonl"), files.open_unzipped(path) as stream:
            for number, line in enumerate(stream, 1):
                if line.strip():
                    try:
                        row = json.loads(line.decode(options.encoding))
                    except (ValueError, RecursionError) as error:
                        raise TlbenchError(f"{path}: line {number} is not JSON ({error})") from error
                    if not isinstance(row, dict):
                        raise TlbenchError(f"{path}: line {number} is not an object {{...}}")
                    seen |= dict.fromkeys(row)
                    rows.append(row if needed is None else {name: row[name] for name in needed if name in row})
            if needed is not None and not set(needed) <= set(seen):
                return pd.DataFrame(index=range(len(rows)), columns=list(seen))  # so that the message can name them
            return pd.DataFrame.from_records(rows)

    return frame
