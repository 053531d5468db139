"""Parquet, Arrow IPC (file or stream) and Feather files, distinguished by their first bytes."""

from __future__ import annotations

import functools
import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tlbench.data.decoding import files, tables
from tlbench.data.decoding.arrays import ReaderResult
from tlbench.data.decoding.table_options import TableOptions
from tlbench.data.labels.classes import normalized
from tlbench.errors import TlbenchError, did_you_mean

if TYPE_CHECKING:
    import pandas as pd


PATH_KEYS = ("path", "fit.path")
LIBRARIES = ("pandas", "pyarrow", "scikit-learn")


class Options(TableOptions, strict=True):
    """See `TableOptions` for the keys that assign the columns."""


def read(options: Options, root: Path) -> ReaderResult:
    """Samples (N, D), or (N, ...) from one column of lists, and labels (N,).

    Raises:
        TlbenchError: a file or column that is not there, a damaged file, or a file of more cells than are allowed.
    """
    return tables.read(options, root, functools.partial(_read_frame, texts=options.text_columns))


def _read_frame(path: Path, needed: list[str] | None, texts: Sequence[str] = ()) -> pd.DataFrame:
    """The rows of a file; whole numbers beside nulls stay whole in some columns (`texts`)."""
    from pyarrow import ipc, memory_map
    from pyarrow import parquet as pq
    from pyarrow.types import is_integer

    with files.guarded_reading(path, "Parquet or Arrow"):
        with path.open("rb") as stream:
            head = stream.read(6)
        if head[:4] == b"PAR1":
            with pq.ParquetFile(path) as file:
                names = file.schema_arrow.names
                _check_unpacked_size(path, file.metadata.num_rows, names, file.metadata)
                table = file.read(columns=_check_columns(path, needed, names))
        elif head in (b"ARROW1", b"\xff\xff\xff\xff" + head[4:]):
            with memory_map(str(path)) as stream:
                opened = ipc.open_file(stream) if head == b"ARROW1" else ipc.open_stream(stream)
                table = opened.read_all()
                if needed is not None:
                    table = table.select(_check_columns(path, needed, table.column_names))
        else:
            raise TlbenchError(f"{path}: This is not a Parquet, Arrow or Feather file; its first bytes are not those of one.")
        table.validate(full=True)  # offsets of a damaged file may point anywhere, and its texts may be invalid
        frame = table.to_pandas(ignore_metadata=True)
        for name in {*texts} & {*table.column_names}:
            if table[name].null_count and frame[name].dtype.kind == "f" and is_integer(table.schema.field(name).type):
                frame[name] = table[name].to_pandas(integer_object_nulls=True)
        frame.attrs["index_columns"] = _index_columns(table.schema.metadata)
        return frame


def _index_columns(metadata: dict[bytes, bytes] | None) -> list[str]:
    """The columns that pandas stored its index in, by the metadata of the file."""
    try:
        stored = json.loads((metadata or {}).get(b"pandas", b"{}"))["index_columns"]
        return [name for name in stored if isinstance(name, str)]
    except (ValueError, KeyError, TypeError, RecursionError):
        return []


def _check_columns(path: Path, needed: list[str] | None, names: list[str]) -> list[str] | None:
    if needed is None:
        return None
    stored = {normalized(name): name for name in names}
    for name in needed:
        if name not in stored:
            raise TlbenchError(f"{path}: There is no column {name!r}. {did_you_mean(name, names)}")
    return [stored[name] for name in needed]


def _check_unpacked_size(path: Path, rows: int, names: list[str], metadata: Any) -> None:
    """Refuse a file whose declared size is above the limits, before anything is unpacked."""
    unpacked = sum(metadata.row_group(i).total_byte_size for i in range(metadata.num_row_groups))
    tables.check_columns(path, len(names))
    if rows * len(names) > tables.CELLS_LIMIT or unpacked > files.UNPACKED_LIMIT_BYTES:
        raise TlbenchError(
            f"{path}: The file declares {rows} rows of {len(names)} columns, {unpacked / 2**30:.1f} GiB unpacked. "
            f"At most {tables.CELLS_LIMIT} cells and {files.UNPACKED_LIMIT_BYTES / 2**30:.0f} GiB are allowed."
        )
